//! What expressions mean.

use std::cell::Cell;

use super::super::sample::{Sample, finds, parsed, time};
use super::super::{Expression, Status};

fn tagged(tags: &[&str]) -> Sample {
    Sample::tagged(tags)
}

fn named(public_id: &str) -> Sample {
    Sample::named(public_id)
}

fn sized(bytes: u64) -> Sample {
    Sample {
        bytes,
        ..named("a")
    }
}

fn pictured(width: u32, height: u32) -> Sample {
    Sample {
        dimensions: Some((width, height)),
        ..named("a.png")
    }
}

fn made(at: &str) -> Sample {
    Sample {
        created_at: time(at),
        ..named("a")
    }
}

fn deleted(public_id: &str) -> Sample {
    Sample {
        status: Status::Deleted,
        ..named(public_id)
    }
}

#[test]
fn nothing_asked_is_all_that_is_active() {
    for text in ["", "  \n"] {
        finds(text, &[&named("a"), &tagged(&["b"])], &[&deleted("a")]);
    }
}

#[test]
fn tags_and_names_match_by_word_and_ids_as_a_whole() {
    finds(
        "tags:analysis",
        &[&tagged(&["full-analysis"]), &tagged(&["Analysis"])],
        &[&tagged(&["analyses"])],
    );
    finds(
        "tags=analysis",
        &[&tagged(&["x", "analysis"])],
        &[&tagged(&["full-analysis"]), &tagged(&["Analysis"])],
    );
    finds(
        "tags:\"red shirt\"",
        &[&tagged(&["a red-shirt"])],
        &[&tagged(&["red", "shirt"])],
    );
    finds(
        "tags:\"service:account\"",
        &[&tagged(&["service:account"])],
        &[&tagged(&["service"])],
    );
    finds(
        r"tags=service\:account",
        &[&tagged(&["service:account"])],
        &[&tagged(&["service"])],
    );
    finds(
        "filename:cat",
        &[&named("x/my_cat.jpg")],
        &[&named("cat/dog.jpg")],
    );
    finds(
        "public_id:dog",
        &[&named("DOG")],
        &[&named("dog_1"), &named("a/dog")],
    );
    finds("public_id=dog", &[&named("dog")], &[&named("DOG")]);
    finds(
        "asset_id:018F3A52aaaabbbbccccddddeeeeffff",
        &[&named("a")],
        &[],
    );
    finds("asset_id:018f3a52*", &[&named("a")], &[]);
    finds("asset_id:018f3a52", &[], &[&named("a")]);
}

#[test]
fn each_text_field_is_looked_into() {
    let sample = Sample {
        display_name: "Summer Hat".to_owned(),
        format: Some("JPG".to_owned()),
        resource_type: "image",
        context: vec![("alt".to_owned(), "A straw hat".to_owned())],
        ..named("shop/hats/h1.jpg")
    };
    let bare = named("h2");
    for text in [
        "display_name:hat",
        "display_name=\"Summer Hat\"",
        "format:jpg",
        "format=JPG",
        "format:jp*",
        "format:(png OR jpg)",
        "resource_type:IMAGE",
        "resource_type:(image OR video)",
        "context.alt:straw",
        "context.alt=\"A straw hat\"",
        "folder:Shop/Hats",
        "asset_folder=shop/hats",
        "folder:\"shop/*\"",
        "folder:shop/*",
    ] {
        finds(text, &[&sample], &[&bare]);
    }
    for text in [
        "format=jpg",
        "context.title:straw",
        "context.alt=straw",
        "resource_type=Image",
    ] {
        finds(text, &[], &[&sample, &bare]);
    }
    finds("type:upload", &[&sample, &bare], &[]);
    finds("type:private", &[], &[&sample, &bare]);
}

#[test]
fn a_quoted_star_after_a_folder_takes_it_and_all_below() {
    let (at, below, deep) = (named("X/a"), named("X/y/a"), named("X/y/z/a"));
    let (beside, above) = (named("Xy/a"), named("a"));
    finds("folder:\"X/*\"", &[&at, &below, &deep], &[&beside, &above]);
    finds("folder=\"X/*\"", &[&at, &below, &deep], &[&beside, &above]);
    finds("folder:X", &[&at], &[&below, &deep, &beside, &above]);
    finds("folder:\"\"", &[&above], &[&at]);
    finds("folder:\"/*\"", &[&above, &at, &deep], &[]);
    for all in ["folder:\"*\"", "asset_folder=\"*\"", "folder: *"] {
        finds(all, &[&above, &at, &deep], &[]);
    }
}

#[test]
fn a_word_without_a_field_is_looked_for_in_all_texts() {
    let sample = Sample {
        display_name: "Summer Hat".to_owned(),
        format: Some("webp".to_owned()),
        resource_type: "image",
        tags: vec!["on-sale".to_owned()],
        context: vec![("alt".to_owned(), "made of straw".to_owned())],
        ..named("shop/first_hat.webp")
    };
    for text in [
        "shop",
        "first",
        "WEBP",
        "summer",
        "sale",
        "straw",
        "\"summer hat\"",
        "stra*",
        "018f3a52aaaabbbbccccddddeeeeffff",
        "shop sale -winter",
        "\"shop/first\"",
    ] {
        finds(text, &[&sample], &[]);
    }
    // The key of a context, and words that every asset has, are not looked into.
    for text in [
        "alt",
        "image",
        "upload",
        "active",
        "sum",
        "\"hat summer\"",
        "winter",
    ] {
        finds(text, &[], &[&sample]);
    }
}

#[test]
fn sizes_compare_by_number() {
    let (small, exact, big) = (sized(1_000), sized(1 << 20), sized((1 << 20) + 1));
    finds("bytes>1m", &[&big], &[&small, &exact]);
    finds("bytes>=1m", &[&big, &exact], &[&small]);
    finds("bytes<1mb", &[&small], &[&exact, &big]);
    finds("bytes <= 1024k", &[&small, &exact], &[&big]);
    finds("bytes:1000", &[&small], &[&exact, &big]);
    finds("bytes=1m", &[&exact], &[&small, &big]);
    finds("bytes:>1m", &[&big], &[&small, &exact]);
    finds("bytes:(>1000 <=1m)", &[&exact], &[&small, &big]);
    finds("bytes:(1000 OR >1m)", &[&small, &big], &[&exact]);
    finds("bytes>-1", &[&small, &exact, &big, &sized(u64::MAX)], &[]);
}

#[test]
fn ranges_include_what_their_brackets_say() {
    let (one, two, three) = (sized(1), sized(2), sized(3));
    finds(
        "bytes:[1 TO 3]",
        &[&one, &two, &three],
        &[&sized(4), &sized(0)],
    );
    finds("bytes:{1 TO 3}", &[&two], &[&one, &three]);
    finds("bytes:[1 TO 3}", &[&one, &two], &[&three]);
    finds("bytes:{1 TO 3]", &[&two, &three], &[&one]);
    finds("bytes=[1 TO 3]", &[&one, &two, &three], &[]);
    finds("bytes:[3 TO 1]", &[], &[&one, &two, &three]);
    finds("bytes:[1k TO 2k]", &[&sized(1500)], &[&three]);
    finds("bytes:([1 TO 1] OR {2 TO 4})", &[&one, &three], &[&two]);
    finds("-bytes:[1 TO 2]", &[&three], &[&one, &two]);
}

#[test]
fn pictures_compare_by_their_dimensions() {
    let (wide, tall, text) = (pictured(1920, 1080), pictured(300, 400), named("a"));
    finds("width>1000", &[&wide], &[&tall, &text]);
    finds("height:400", &[&tall], &[&wide, &text]);
    finds("width:[300 TO 2000]", &[&wide, &tall], &[&text]);
    finds("pixels>=2073600", &[&wide], &[&tall, &text]);
    finds("aspect_ratio>1", &[&wide], &[&tall, &text]);
    finds("aspect_ratio:\"16:9\"", &[&wide], &[&tall, &text]);
    finds("aspect_ratio=0.75", &[&tall], &[&wide, &text]);
    finds("aspect_ratio<\"1:1\"", &[&tall], &[&wide, &text]);
    finds("-width>1000", &[&tall, &text], &[&wide]);
    finds(
        "pixels:18446744065119617025",
        &[&pictured(u32::MAX, u32::MAX)],
        &[&wide],
    );
}

#[test]
fn dates_are_whole_days_and_moments_relative_to_now() {
    let (morning, night) = (made("2024-01-15T00:00:00Z"), made("2024-01-15T23:59:59Z"));
    let (before, after) = (made("2024-01-14T23:59:59Z"), made("2024-01-16T00:00:00Z"));
    for text in [
        "created_at:2024-01-15",
        "created_at=\"2024-01-15\"",
        "created_at:[2024-01-15 TO 2024-01-15]",
    ] {
        finds(text, &[&morning, &night], &[&before, &after]);
    }
    finds(
        "created_at>\"2024-01-15\"",
        &[&after],
        &[&before, &morning, &night],
    );
    finds(
        "created_at>=2024-01-15",
        &[&morning, &night, &after],
        &[&before],
    );
    finds(
        "created_at<2024-01-15",
        &[&before],
        &[&morning, &night, &after],
    );
    finds(
        "created_at<=2024-01-15",
        &[&before, &morning, &night],
        &[&after],
    );
    finds(
        "created_at>=2024-01-15T23:59:59Z",
        &[&night, &after],
        &[&morning],
    );
    finds(
        "created_at:2024-01-15T23:59:59Z",
        &[&night],
        &[&morning, &after],
    );
    finds(
        "updated_at:{2024-01-14 TO 2024-01-16}",
        &[&morning, &night],
        &[&before, &after],
    );

    let hour_ago = made("2024-03-01T11:00:00Z");
    let (days, month) = (made("2024-02-20T12:00:00Z"), made("2024-01-31T12:00:00Z"));
    finds("created_at>1d", &[&hour_ago], &[&days, &month]);
    finds("uploaded_at<1d", &[&days, &month], &[&hour_ago]);
    finds("created_at:[4w TO 1w]", &[&days], &[&hour_ago, &month]);
    finds("created_at:[1w TO 4w]", &[], &[&days, &hour_ago, &month]);
    finds("created_at>=2h", &[&hour_ago], &[&days]);
    finds("created_at:3d", &[&hour_ago], &[&days, &month]);
    finds(
        "created_at:[\"2024-02-01\" TO 2h]",
        &[&days],
        &[&hour_ago, &month],
    );
}

#[test]
fn deleted_files_are_found_only_when_the_status_is_asked_for() {
    let (active, gone) = (named("a"), deleted("a"));
    finds("public_id:a", &[&active], &[&gone]);
    finds("public_id:a AND status:active", &[&active], &[&gone]);
    finds("status=deleted", &[&gone], &[&active]);
    finds("status:DELETED", &[&gone], &[&active]);
    finds("status:(active OR deleted)", &[&active, &gone], &[]);
    finds("-status:active", &[&gone], &[&active]);
    finds("status:deleted OR public_id:a", &[&active, &gone], &[]);
    for text in [
        "status:inactive",
        "status:pending",
        "status:(inactive OR pending)",
        "status:unheard",
    ] {
        finds(text, &[], &[&active, &gone]);
    }
}

#[test]
fn an_unknown_field_matches_nothing() {
    let sample = tagged(&["a"]);
    for text in [
        "duration>5",
        "metadata.k:a",
        "Tags:a",
        "context:a",
        "x=[1 TO 2]",
    ] {
        finds(text, &[], &[&sample]);
    }
    finds("duration>5 OR tags:a", &[&sample], &[]);
    finds("-duration>5", &[&sample], &[]);
}

#[test]
fn dimensions_are_asked_for_once_and_only_where_nothing_else_decides() {
    let asked = Cell::new(0);
    let picture = tagged(&["a"]);
    let ask = |expression: &Expression| {
        asked.set(0);
        let dimensions = || {
            asked.set(asked.get() + 1);
            Some((100, 100))
        };
        let matches = picture.borrowed(&dimensions, |subject| expression.matches(subject));
        (matches, asked.get())
    };
    assert_eq!(ask(&parsed("tags:a")), (true, 0));
    assert_eq!(ask(&parsed("width>50 height>50 pixels>50")), (true, 1));
    assert_eq!(ask(&parsed("width>50 AND tags:b")), (false, 0));
    assert_eq!(ask(&parsed("(width>50 height>5) OR tags:a")), (true, 0));
    assert_eq!(ask(&parsed("-width>50 tags:b")), (false, 0));
    assert_eq!(ask(&parsed("status:deleted width>50")), (false, 0));
}
