//! What comes before what.

use super::*;

fn row(public_id: &str) -> SortValues<'_> {
    SortValues {
        public_id,
        asset_id: "id",
        filename: public_id,
        format: None,
        resource_type: "raw",
        bytes: 0,
        created_at: Timestamp::from_nanos(0),
        uploaded_at: Timestamp::from_nanos(0),
        updated_at: Timestamp::from_nanos(0),
        dimensions: None,
    }
}

fn sorted(order: &Order, mut rows: Vec<SortValues<'_>>) -> Vec<String> {
    // In both directions of what comes in, as sorting is stable.
    rows.reverse();
    rows.sort_by(|one, other| order.compare(one, other));
    rows.iter().map(|row| row.public_id.to_owned()).collect()
}

fn by(field: &str, direction: &str) -> Order {
    Order::parse([(field, direction)]).unwrap()
}

#[test]
fn without_a_wish_the_newest_comes_first_and_then_the_name_decides() {
    let at = |public_id, nanos| SortValues {
        created_at: Timestamp::from_nanos(nanos),
        ..row(public_id)
    };
    let rows = vec![at("b", 5), at("a", 5), at("old", 1), at("new", 9)];
    assert_eq!(sorted(&Order::default(), rows), ["new", "a", "b", "old"]);
    assert_eq!(Order::parse([]), Ok(Order::default()));
}

#[test]
fn each_field_sorts_in_both_directions() {
    let low = row("x");
    let time = Timestamp::from_nanos(7);
    for (field, high) in [
        (
            "public_id",
            SortValues {
                public_id: "y",
                ..low
            },
        ),
        (
            "asset_id",
            SortValues {
                asset_id: "ie",
                ..low
            },
        ),
        (
            "filename",
            SortValues {
                filename: "y",
                ..low
            },
        ),
        (
            "resource_type",
            SortValues {
                resource_type: "video",
                ..low
            },
        ),
        ("bytes", SortValues { bytes: 10, ..low }),
        (
            "created_at",
            SortValues {
                created_at: time,
                ..low
            },
        ),
        (
            "uploaded_at",
            SortValues {
                uploaded_at: time,
                ..low
            },
        ),
        (
            "updated_at",
            SortValues {
                updated_at: time,
                ..low
            },
        ),
    ] {
        assert_eq!(
            by(field, "asc").compare(&low, &high),
            Ordering::Less,
            "{field}"
        );
        assert_eq!(
            by(field, "desc").compare(&low, &high),
            Ordering::Greater,
            "{field}"
        );
    }
}

#[test]
fn what_lacks_the_value_comes_last_in_both_directions() {
    let picture = |public_id, width, height| SortValues {
        dimensions: Some((width, height)),
        format: Some("png"),
        ..row(public_id)
    };
    let rows = vec![
        row("text"),
        picture("wide", 300, 100),
        picture("tall", 100, 200),
    ];
    for (field, ascending) in [
        ("width", ["tall", "wide", "text"]),
        ("height", ["wide", "tall", "text"]),
        ("pixels", ["tall", "wide", "text"]),
        ("aspect_ratio", ["tall", "wide", "text"]),
    ] {
        assert_eq!(
            sorted(&by(field, "asc"), rows.clone()),
            ascending,
            "{field}"
        );
        let [one, other, last] = ascending;
        assert_eq!(sorted(&by(field, "desc"), rows.clone()), [other, one, last]);
    }
    for direction in ["asc", "desc"] {
        let order = sorted(&by("format", direction), rows.clone());
        assert_eq!(order, ["tall", "wide", "text"]);
    }
}

#[test]
fn a_later_field_decides_where_an_earlier_one_does_not() {
    let sized = |public_id, bytes, resource_type| SortValues {
        bytes,
        resource_type,
        ..row(public_id)
    };
    let rows = vec![
        sized("a", 1, "raw"),
        sized("b", 2, "image"),
        sized("c", 2, "raw"),
    ];
    let order = Order::parse([("resource_type", "desc"), ("bytes", "desc")]).unwrap();
    assert_eq!(sorted(&order, rows), ["c", "a", "b"]);
}

#[test]
fn of_two_assets_with_one_name_the_id_decides() {
    let deleted = SortValues {
        asset_id: "other",
        ..row("a")
    };
    assert_eq!(
        Order::default().compare(&row("a"), &deleted),
        Ordering::Less
    );
}

#[test]
fn only_orders_of_pictures_need_dimensions() {
    assert!(by("pixels", "asc").needs_dimensions());
    assert!(!by("bytes", "asc").needs_dimensions());
    assert!(!Order::default().needs_dimensions());
}

#[test]
fn an_unknown_field_or_direction_is_refused_with_those_there_are() {
    let refused = |field, direction| Order::parse([(field, direction)]).unwrap_err().to_string();
    assert_eq!(
        refused("size", "asc"),
        "cannot sort by \"size\": sort by public_id, asset_id, filename, format, \
         resource_type, bytes, created_at, uploaded_at, updated_at, width, height, pixels, \
         aspect_ratio"
    );
    assert_eq!(
        refused("bytes", "down\n"),
        "cannot sort bytes by direction \"down\\n\": write asc or desc"
    );
}
