//! From file names to what the API calls assets, and back.
//!
//! An image or a video is `public_id.format`; anything else is a raw asset, whose public_id
//! is its whole name. The surprise: an extension in mixed case (`Jpg`) makes a raw asset,
//! because nobody could find the file again by its public_id and format.

use super::error::{ApiError, Result};
use super::parameters::Parameters;

/// What an asset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum ResourceType {
    /// A picture or a document that can be shown as one.
    Image,
    /// Moving pictures or sound.
    Video,
    /// Any other file.
    Raw,
}

/// The extensions of each, in lower case, with their content types.
const FORMATS: [(ResourceType, &str, &str); 45] = {
    use ResourceType::{Image, Video};
    [
        (Image, "jpg", "image/jpeg"),
        (Image, "png", "image/png"),
        (Image, "webp", "image/webp"),
        (Image, "gif", "image/gif"),
        (Image, "jpeg", "image/jpeg"),
        (Image, "svg", "image/svg+xml"),
        (Image, "avif", "image/avif"),
        (Image, "heic", "image/heic"),
        (Image, "heif", "image/heif"),
        (Image, "tif", "image/tiff"),
        (Image, "tiff", "image/tiff"),
        (Image, "bmp", "image/bmp"),
        (Image, "ico", "image/vnd.microsoft.icon"),
        (Image, "jxl", "image/jxl"),
        (Image, "jp2", "image/jp2"),
        (Image, "psd", "image/vnd.adobe.photoshop"),
        (Image, "pdf", "application/pdf"),
        (Image, "ai", "application/postscript"),
        (Image, "eps", "application/postscript"),
        (Image, "tga", "image/x-tga"),
        (Image, "dng", "image/x-adobe-dng"),
        (Video, "mp4", "video/mp4"),
        (Video, "mov", "video/quicktime"),
        (Video, "webm", "video/webm"),
        (Video, "mkv", "video/x-matroska"),
        (Video, "avi", "video/x-msvideo"),
        (Video, "m4v", "video/x-m4v"),
        (Video, "mpg", "video/mpeg"),
        (Video, "mpeg", "video/mpeg"),
        (Video, "ogv", "video/ogg"),
        (Video, "wmv", "video/x-ms-wmv"),
        (Video, "flv", "video/x-flv"),
        (Video, "3gp", "video/3gpp"),
        (Video, "3g2", "video/3gpp2"),
        (Video, "m2ts", "video/mp2t"),
        (Video, "mts", "video/mp2t"),
        (Video, "mp3", "audio/mpeg"),
        (Video, "wav", "audio/wav"),
        (Video, "ogg", "audio/ogg"),
        (Video, "oga", "audio/ogg"),
        (Video, "opus", "audio/ogg"),
        (Video, "aac", "audio/aac"),
        (Video, "m4a", "audio/mp4"),
        (Video, "flac", "audio/flac"),
        (Video, "aiff", "audio/aiff"),
    ]
};

impl ResourceType {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Image, Self::Video, Self::Raw];

    /// Its word in paths and answers.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Raw => "raw",
        }
    }

    /// The one with that word.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The extensions that make a file one of these, in the order in which they are tried.
    pub(super) fn extensions(self) -> impl Iterator<Item = &'static str> {
        FORMATS
            .iter()
            .filter(move |(kind, _, _)| *kind == self)
            .map(|(_, extension, _)| *extension)
    }
}

/// A file name as the API sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity<'a> {
    pub resource_type: ResourceType,
    pub public_id: &'a str,
    /// `None` for a raw asset.
    pub format: Option<&'a str>,
}

/// What a path is to the API.
pub(super) fn identify(path: &str) -> Identity<'_> {
    let raw = Identity {
        resource_type: ResourceType::Raw,
        public_id: path,
        format: None,
    };
    let Some((public_id, extension)) = path.rsplit_once('.') else {
        return raw;
    };
    // `.png` alone is a hidden file, not a picture without a name.
    if public_id.is_empty() || public_id.ends_with('/') {
        return raw;
    }
    match kind_of(extension) {
        Some(resource_type) => Identity {
            resource_type,
            public_id,
            format: Some(extension),
        },
        None => raw,
    }
}

/// What an extension makes of a file. `None`: nothing but a raw asset.
pub(super) fn kind_of(extension: &str) -> Option<ResourceType> {
    let lower = extension.to_ascii_lowercase();
    let is_plain = lower == extension || extension.to_ascii_uppercase() == extension;
    row_of(&lower)
        .filter(|_| is_plain)
        .map(|(kind, _, _)| *kind)
}

/// The content type of a file by its name.
pub(super) fn content_type(path: &str) -> &'static str {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    match row_of(&extension.to_ascii_lowercase()) {
        Some((_, _, content_type)) => content_type,
        None => match extension.to_ascii_lowercase().as_str() {
            "txt" | "md" | "csv" | "log" | "json" | "xml" | "toml" | "yaml" | "yml" | "css"
            | "js" | "html" | "htm" => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        },
    }
}

/// The extension for a content type, for data that comes without a name.
pub(super) fn extension_for(content_type: &str) -> Option<&'static str> {
    let row = FORMATS.iter().find(|(_, _, known)| *known == content_type);
    row.map(|(_, extension, _)| *extension)
}

/// The extension that the first bytes of a picture ask for.
pub(super) fn extension_of_bytes(bytes: &[u8]) -> Option<&'static str> {
    use imagesize::ImageType;
    Some(match imagesize::image_type(bytes).ok()? {
        ImageType::Jpeg => "jpg",
        ImageType::Png => "png",
        ImageType::Gif => "gif",
        ImageType::Webp => "webp",
        ImageType::Bmp => "bmp",
        ImageType::Tiff => "tif",
        ImageType::Ico => "ico",
        ImageType::Psd => "psd",
        ImageType::Jxl => "jxl",
        _ => return None,
    })
}

/// Refuses an upload whose format is none of its `allowed_formats`.
pub(super) fn check_allowed(parameters: &Parameters, format: Option<&str>) -> Result<()> {
    let plain = |format: &str| match format.trim().to_ascii_lowercase().as_str() {
        "jpeg" => "jpg".to_owned(),
        "tiff" => "tif".to_owned(),
        other => other.to_owned(),
    };
    let allowed = parameters.list("allowed_formats").join(",");
    let format = format.unwrap_or_default();
    let mut words = allowed.split(',');
    match allowed.is_empty() || words.any(|word| plain(word) == plain(format)) {
        true => Ok(()),
        false => Err(ApiError::Bad(format!(
            "Invalid format {format}: allowed_formats has only {allowed}"
        ))),
    }
}

fn row_of(lower: &str) -> Option<&'static (ResourceType, &'static str, &'static str)> {
    FORMATS.iter().find(|(_, extension, _)| *extension == lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_an_asset_is() {
        use ResourceType::{Image, Raw, Video};
        for (path, resource_type, public_id, format) in [
            ("a/b.png", Image, "a/b", Some("png")),
            ("a/B.JPG", Image, "a/B", Some("JPG")),
            ("film.tar.mp4", Video, "film.tar", Some("mp4")),
            ("notes.txt", Raw, "notes.txt", None),
            ("Makefile", Raw, "Makefile", None),
            ("a/.png", Raw, "a/.png", None),
            ("x.Jpg", Raw, "x.Jpg", None),
            ("x.", Raw, "x.", None),
        ] {
            let expected = Identity {
                resource_type,
                public_id,
                format,
            };
            assert_eq!(identify(path), expected, "{path}");
        }
    }

    #[test]
    fn only_allowed_formats_are_taken_where_some_are_named() {
        let check = |form: &str, format| {
            let parameters = Parameters::from_form(form.as_bytes()).unwrap();
            check_allowed(&parameters, format)
        };
        for form in [
            "allowed_formats=png,jpg",
            "allowed_formats[]=png&allowed_formats[]=jpg",
        ] {
            for format in ["png", "JPG", "jpeg"] {
                assert!(check(form, Some(format)).is_ok(), "{form} {format}");
            }
            for format in [Some("gif"), Some("pn"), None] {
                assert!(check(form, format).is_err(), "{form} {format:?}");
            }
        }
        assert!(check("", Some("gif")).is_ok() && check("allowed_formats=", None).is_ok());
    }

    #[test]
    fn no_extension_is_listed_twice() {
        for (place, (_, extension, _)) in FORMATS.iter().enumerate() {
            let others = &FORMATS[place + 1..];
            assert!(others.iter().all(|(_, other, _)| other != extension));
        }
    }

    #[test]
    fn what_a_browser_would_run_goes_as_text() {
        assert_eq!(content_type("a/page.HTML"), "text/plain; charset=utf-8");
        assert_eq!(content_type("a"), "application/octet-stream");
    }
}
