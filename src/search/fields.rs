//! The fields that can be asked for, and how each compares.
//!
//! One table. A name that is not in it is no error: an expression written for another
//! service has fields that no asset here has, and simply finds nothing by them.

/// A field of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    /// One with a text, or several.
    Text(TextField),
    /// One with a number.
    Number(NumberField),
    /// One with a moment.
    Time(TimeField),
    /// No asset has it.
    Unknown,
}

/// Fields with texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TextField {
    /// No field is named: each that a person would look into.
    Anywhere,
    /// `public_id`
    PublicId,
    /// `asset_id`
    AssetId,
    /// `filename`
    Filename,
    /// `display_name`
    DisplayName,
    /// `folder`, `asset_folder`
    Folder,
    /// `format`
    Format,
    /// `resource_type`
    ResourceType,
    /// `type`
    Kind,
    /// `status`
    Status,
    /// `tags`
    Tags,
    /// `context.KEY`
    Context(String),
}

/// Fields with numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberField {
    /// `bytes`
    Bytes,
    /// `width`
    Width,
    /// `height`
    Height,
    /// `pixels`
    Pixels,
    /// `aspect_ratio`, in hundredths.
    AspectRatio,
}

/// Fields with moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeField {
    /// `created_at`
    Created,
    /// `uploaded_at`
    Uploaded,
    /// `updated_at`
    Updated,
}

/// What `:` compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// The whole value.
    Whole,
    /// Words of it.
    Words,
}

/// May a value end in `*`?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginnings {
    /// It may.
    Allowed,
    /// There are so few values that it would be a mistake.
    Refused,
}

impl Field {
    /// The field of that name.
    pub(super) fn named(name: &str) -> Field {
        match name {
            "public_id" => Field::Text(TextField::PublicId),
            "asset_id" => Field::Text(TextField::AssetId),
            "filename" => Field::Text(TextField::Filename),
            "display_name" => Field::Text(TextField::DisplayName),
            "folder" | "asset_folder" => Field::Text(TextField::Folder),
            "format" => Field::Text(TextField::Format),
            "resource_type" => Field::Text(TextField::ResourceType),
            "type" => Field::Text(TextField::Kind),
            "status" => Field::Text(TextField::Status),
            "tags" => Field::Text(TextField::Tags),
            "bytes" => Field::Number(NumberField::Bytes),
            "width" => Field::Number(NumberField::Width),
            "height" => Field::Number(NumberField::Height),
            "pixels" => Field::Number(NumberField::Pixels),
            "aspect_ratio" => Field::Number(NumberField::AspectRatio),
            "created_at" => Field::Time(TimeField::Created),
            "uploaded_at" => Field::Time(TimeField::Uploaded),
            "updated_at" => Field::Time(TimeField::Updated),
            _ => match name.strip_prefix("context.") {
                Some(key) => Field::Text(TextField::Context(key.to_owned())),
                None => Field::Unknown,
            },
        }
    }
}

impl TextField {
    /// Is noted about the asset, beside its name and content.
    pub(super) fn is_a_label(&self) -> bool {
        matches!(
            self,
            TextField::Tags | TextField::Context(_) | TextField::Anywhere
        )
    }

    pub(super) const fn manner(&self) -> Manner {
        match self {
            TextField::Anywhere
            | TextField::Filename
            | TextField::DisplayName
            | TextField::Tags
            | TextField::Context(_) => Manner::Words,
            TextField::PublicId
            | TextField::AssetId
            | TextField::Folder
            | TextField::Format
            | TextField::ResourceType
            | TextField::Kind
            | TextField::Status => Manner::Whole,
        }
    }

    pub(super) const fn beginnings(&self) -> Beginnings {
        match self {
            TextField::ResourceType | TextField::Kind => Beginnings::Refused,
            _ => Beginnings::Allowed,
        }
    }
}

impl NumberField {
    /// Stands in the bytes of the file, not in what is known of it.
    pub(super) const fn is_a_dimension(self) -> bool {
        !matches!(self, NumberField::Bytes)
    }
}
