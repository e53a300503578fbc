//! What a monitor reads at `/metrics`: each value follows what happens in the vault.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::faults::{Line, write};
use crate::harness::{Setup, noise, wait_for};
use crate::http::{Served, free_port, make_key};
use crate::proxy::{Fault, Proxy};
use crate::servers::{BucketServer, Kind};

/// One line of the page, by what is before its value.
#[track_caller]
fn value(served: &Served, name: &str) -> u64 {
    let answer = served.call("GET", "/metrics", None);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{text}"));
    line.parse().unwrap_or_else(|_| panic!("{name}: {line}"))
}

#[track_caller]
fn wait_until(served: &Served, name: &str, holds: impl Fn(u64) -> bool) -> u64 {
    wait_for(name, || {
        let value = value(served, name);
        holds(value).then_some(value)
    })
}

/// A vault whose store is a bucket behind a line that can fail.
fn in_a_bucket() -> (BucketServer, Proxy, Served) {
    let address = format!("127.0.0.1:{}", free_port());
    let listen = ["--listen", &address];
    let Line { m, proxy, server } = Line::with(Kind::S3, |setup| setup.mount(&listen));
    let (key, secret) = make_key(&m.vault);
    let served = Served {
        mount: m,
        address: address.parse().unwrap(),
        key,
        secret,
    };
    (server, proxy, served)
}

#[test]
fn a_monitor_counts_answers_by_their_status_and_commits() {
    let served = Served::start(Setup::new());
    served.call("GET", "/v1_1/demo/ping", None);
    let of = |code: u16| {
        value(
            &served,
            &format!("keepfs_requests_total{{code=\"{code}\"}}"),
        )
    };
    let before = of(200);
    for _ in 0..3 {
        served.done("GET", "/v1_1/demo/ping", None);
    }
    // Each look at the metrics is an answer, too.
    assert_eq!(of(200), before + 4);
    for _ in 0..2 {
        assert_eq!(served.call("GET", "/v1_1/demo/nothing", None).status, 404);
    }
    assert_eq!(of(404), 2);
    assert_eq!(served.raw("GET", "/metrics", &[], b"").status, 401);
    assert_eq!(of(401), 1);

    let commits = value(&served, "keepfs_commits_total");
    served.mount.write("a", b"1");
    served.mount.run("\"$KEEPFS\" wait .");
    wait_until(&served, "keepfs_commits_total", |now| now > commits);
    served.mount.write("a", b"22");
    served.mount.write("b", b"333");
    served.mount.remove("b");
    wait_until(&served, "keepfs_versions", |versions| versions == 3);
    let assets = ["keepfs_assets", "keepfs_assets_deleted"].map(|name| value(&served, name));
    assert_eq!(assets, [1, 1]);
    assert_eq!(value(&served, "keepfs_logical_bytes"), 6);
}

#[test]
fn a_monitor_sees_a_store_that_fails_what_waits_for_it_and_that_it_is_back() {
    let (_server, proxy, served) = in_a_bucket();
    let name = "keepfs_store_errors_total";
    assert_eq!(value(&served, name), 0);
    assert_eq!(value(&served, "keepfs_pending_bytes"), 0);
    assert_eq!(value(&served, "keepfs_pending_age_seconds"), 0);
    assert_eq!(value(&served, "keepfs_last_success_timestamp_seconds"), 0);
    proxy.fault("PUT", "/packs/", usize::MAX, Fault::Answer(403, "no"));
    let files: Vec<_> = ["a", "b", "c"].into_iter().zip(1..).collect();
    let files: Vec<_> = files
        .into_iter()
        .map(|(name, seed)| (name, noise(seed, 150_000)))
        .collect();
    write(&served.mount, &files);
    wait_until(&served, name, |errors| errors > 0);
    wait_until(&served, "keepfs_pending_bytes", |bytes| bytes >= 450_000);
    wait_until(&served, "keepfs_pending_age_seconds", |age| age > 0);
    assert_eq!(value(&served, "keepfs_store_puts_total"), 0);

    proxy.heal();
    served.mount.run("\"$KEEPFS\" wait --timeout 100s .");
    wait_until(&served, "keepfs_pending_bytes", |bytes| bytes == 0);
    assert_eq!(value(&served, "keepfs_pending_versions"), 0);
    assert_eq!(value(&served, "keepfs_pending_age_seconds"), 0);
    assert!(value(&served, "keepfs_store_puts_total") > 0);
    assert!(value(&served, "keepfs_stored_bytes") >= 450_000);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let success = value(&served, "keepfs_last_success_timestamp_seconds");
    assert!((now.as_secs() - 600..=now.as_secs()).contains(&success));
}

#[test]
fn a_monitor_sees_what_readers_found_in_the_cache_and_what_had_to_be_fetched() {
    let (_server, _proxy, mut served) = in_a_bucket();
    let large = noise(1, 3_000_000);
    served.mount.write("large", &large);
    served.mount.run("\"$KEEPFS\" wait .");
    let mut read_anew = || {
        served.mount.unmount();
        served.mount.remount();
        assert_eq!(served.mount.contents("large"), std::slice::from_ref(&large));
        [
            "keepfs_cache_hits_total",
            "keepfs_cache_misses_total",
            "keepfs_store_read_requests_total",
        ]
        .map(|name| value(&served, name))
    };
    let [_, misses, requests] = read_anew();
    assert!(misses > 0 && requests > 0, "{misses} {requests}");
    let found = wait_for("the cache to have all of it", || {
        let [hits, misses, requests] = read_anew();
        (misses == 0 && requests == 0).then_some(hits)
    });
    assert!(found > 0);
}

#[test]
fn a_monitor_reads_what_is_pending_and_what_went_wrong() {
    let served = Served::start(Setup::new());
    served.mount.write("a", b"1");
    let text = served.call("GET", "/metrics", None).text();
    for name in [
        "keepfs_requests_total",
        "keepfs_commits_total",
        "keepfs_pending_bytes",
        "keepfs_pending_age_seconds",
        "keepfs_last_success_timestamp_seconds",
        "keepfs_store_errors_total",
        "keepfs_cache_hits_total",
    ] {
        assert!(
            text.contains(&format!("# TYPE {name} ")),
            "{name} in\n{text}"
        );
    }
    // A monitor is answered without asking the mount, so that a mount that hangs is still seen:
    // what was closed a moment ago may be missing in it.
    wait_for("the version to be counted", || {
        let text = served.call("GET", "/metrics", None).text();
        text.lines()
            .any(|line| line == "keepfs_versions 1")
            .then_some(())
    });
    let page = include_str!("../../docs/operating.md");
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, _) = line.split_once(' ').expect("a name and a kind");
        assert!(page.contains(&format!("`{name}")), "{name} is explained");
    }
    assert_eq!(served.raw("GET", "/metrics", &[], b"").status, 401);
}
