//! What bytes are, told by their content. Names, extensions and declared types play no part.

use taja_catalog::port::MediaError;

use crate::text;

/// How many bytes from the start [`sniff`] ever looks at; more do no harm.
pub const SNIFF_BYTES: usize = 64 * 1024;

/// Image formats that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageType {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG and APNG.
    Png,
    /// WebP, still or animated.
    WebP,
    /// GIF, still or animated.
    Gif,
    /// Windows bitmap.
    Bmp,
}

impl ImageType {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Jpeg, Self::Png, Self::WebP, Self::Gif, Self::Bmp];

    /// The media type.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Gif => "image/gif",
            Self::Bmp => "image/bmp",
        }
    }

    pub(crate) fn format(self) -> image::ImageFormat {
        match self {
            Self::Jpeg => image::ImageFormat::Jpeg,
            Self::Png => image::ImageFormat::Png,
            Self::WebP => image::ImageFormat::WebP,
            Self::Gif => image::ImageFormat::Gif,
            Self::Bmp => image::ImageFormat::Bmp,
        }
    }
}

/// Video containers that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoType {
    /// MPEG-4 part 14 and its 3GPP kin.
    Mp4,
    /// QuickTime.
    Mov,
    /// Matroska.
    Mkv,
    /// WebM.
    WebM,
    /// AVI.
    Avi,
}

impl VideoType {
    /// Every container.
    pub const ALL: [Self; 5] = [Self::Mp4, Self::Mov, Self::Mkv, Self::WebM, Self::Avi];

    /// The media type.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Mp4 => "video/mp4",
            Self::Mov => "video/quicktime",
            Self::Mkv => "video/x-matroska",
            Self::WebM => "video/webm",
            Self::Avi => "video/x-msvideo",
        }
    }

    /// The only ffmpeg demuxer that may open it.
    pub(crate) fn demuxer(self) -> &'static str {
        match self {
            Self::Mp4 | Self::Mov => "mov",
            Self::Mkv | Self::WebM => "matroska",
            Self::Avi => "avi",
        }
    }
}

/// What the first bytes of a file say it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniffed {
    /// An image that is taken.
    Image(ImageType),
    /// A video that is taken.
    Video(VideoType),
    /// Something else, with its name for people.
    Other(&'static str),
    /// Not one byte.
    Empty,
}

impl Sniffed {
    /// The image type, or why these bytes are no image that is taken.
    pub fn image(self) -> Result<ImageType, MediaError> {
        match self {
            Self::Image(kind) => Ok(kind),
            Self::Video(kind) => Err(MediaError::Unsupported(format!("{} as an image", kind.mime()))),
            Self::Other(name) => Err(MediaError::Unsupported(name.into())),
            Self::Empty => Err(MediaError::Empty),
        }
    }

    /// The video type, or why these bytes are no video that is taken.
    pub fn video(self) -> Result<VideoType, MediaError> {
        match self {
            Self::Video(kind) => Ok(kind),
            Self::Image(kind) => Err(MediaError::Unsupported(format!("{} as a video", kind.mime()))),
            Self::Other(name) => Err(MediaError::Unsupported(name.into())),
            Self::Empty => Err(MediaError::Empty),
        }
    }
}

/// Says what bytes are. The start of a file is enough; [`SNIFF_BYTES`] are looked at.
pub fn sniff(bytes: &[u8]) -> Sniffed {
    let head = &bytes[..bytes.len().min(SNIFF_BYTES)];
    if head.is_empty() {
        return Sniffed::Empty;
    }
    image(head)
        .or_else(|| riff(head))
        .or_else(|| iso_media(head))
        .or_else(|| ebml(head))
        .or_else(|| known_magic(head).map(Sniffed::Other))
        .unwrap_or_else(|| Sniffed::Other(text::name(head)))
}

fn image(head: &[u8]) -> Option<Sniffed> {
    let kind = if head.starts_with(b"\xff\xd8\xff") {
        ImageType::Jpeg
    } else if head.starts_with(b"\x89PNG\r\n\x1a\n") {
        ImageType::Png
    } else if head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a") {
        ImageType::Gif
    } else if is_bitmap(head) {
        ImageType::Bmp
    } else {
        return None;
    };
    Some(Sniffed::Image(kind))
}

/// "BM" alone also begins many a text, so the size of the second header is asked too.
fn is_bitmap(head: &[u8]) -> bool {
    let header_size = head.get(14..18).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    head.starts_with(b"BM") && matches!(header_size, Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
}

fn riff(head: &[u8]) -> Option<Sniffed> {
    if !head.starts_with(b"RIFF") {
        return None;
    }
    Some(match head.get(8..12) {
        Some(b"WEBP") => Sniffed::Image(ImageType::WebP),
        Some(b"AVI ") => Sniffed::Video(VideoType::Avi),
        Some(b"WAVE") => Sniffed::Other("WAV audio"),
        _ => Sniffed::Other("RIFF"),
    })
}

/// ISO base media files and QuickTime, told apart by their brands (`ftyp`); old QuickTime has none.
fn iso_media(head: &[u8]) -> Option<Sniffed> {
    match head.get(4..8)? {
        b"ftyp" => Some(brand(head)),
        b"moov" | b"mdat" | b"wide" | b"free" | b"skip" | b"pnot" => Some(Sniffed::Video(VideoType::Mov)),
        _ => None,
    }
}

fn brand(head: &[u8]) -> Sniffed {
    let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let end = size.clamp(8, head.len());
    let mut brands = head[8..end].chunks_exact(4);
    let major = brands.next().unwrap_or_default();
    match major {
        b"avif" | b"avis" => Sniffed::Other("AVIF"),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => {
            Sniffed::Other("HEIC")
        }
        // The first of the compatible brands is the minor version and matches nothing below.
        b"mif1" | b"mif2" | b"msf1" | b"miaf" | b"MiHE" => {
            let avif = brands.any(|brand| brand == b"avif" || brand == b"avis");
            Sniffed::Other(if avif { "AVIF" } else { "HEIC" })
        }
        b"M4A " | b"M4B " | b"M4P " | b"F4A " | b"F4B " | b"aax " => Sniffed::Other("M4A audio"),
        b"crx " => Sniffed::Other("CR3 raw photograph"),
        b"jp2 " | b"jpx " | b"jpm " => Sniffed::Other("JPEG 2000"),
        b"qt  " => Sniffed::Video(VideoType::Mov),
        _ => Sniffed::Video(VideoType::Mp4),
    }
}

/// Matroska and WebM share a container; its DocType element (0x4282) tells them apart.
fn ebml(head: &[u8]) -> Option<Sniffed> {
    if !head.starts_with(b"\x1a\x45\xdf\xa3") {
        return None;
    }
    let header = &head[..head.len().min(256)];
    let doc_type = header.windows(2).position(|pair| pair == b"\x42\x82").and_then(|at| {
        let size = usize::from(*header.get(at + 2)? & 0x7f);
        header.get(at + 3..at + 3 + size)
    });
    Some(match doc_type.map(|name| name.strip_suffix(b"\0").unwrap_or(name)) {
        Some(b"webm") => Sniffed::Video(VideoType::WebM),
        Some(b"matroska") => Sniffed::Video(VideoType::Mkv),
        _ => Sniffed::Other("EBML"),
    })
}

/// Formats that are common enough for their sender to deserve a name.
fn known_magic(head: &[u8]) -> Option<&'static str> {
    const MAGIC: &[(usize, &[u8], &str)] = &[
        (0, b"%PDF-", "PDF"),
        (0, b"PK\x03\x04", "ZIP"),
        (0, b"PK\x05\x06", "ZIP"),
        (0, b"PK\x07\x08", "ZIP"),
        (0, b"Rar!\x1a\x07", "RAR"),
        (0, b"7z\xbc\xaf\x27\x1c", "7-Zip"),
        (0, b"\x1f\x8b", "gzip"),
        (0, b"\x28\xb5\x2f\xfd", "zstd"),
        (0, b"BZh", "bzip2"),
        (257, b"ustar", "tar"),
        (0, b"II*\0", "TIFF"),
        (0, b"MM\0*", "TIFF"),
        (0, b"\0\0\x01\0", "ICO"),
        (0, b"8BPS", "PSD"),
        (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
        (0, b"\xff\x0a", "JPEG XL"),
        (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
        (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
        (0, b"FLV\x01", "FLV"),
        (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
        (0, b"\0\0\x01\xba", "MPEG program stream"),
        (188, b"\x47", "MPEG transport stream"),
        (0, b"OggS", "Ogg"),
        (0, b"fLaC", "FLAC audio"),
        (0, b"ID3", "MP3 audio"),
        (0, b"\x7fELF", "ELF program"),
        (0, b"MZ", "Windows program"),
        (0, b"\0asm", "WebAssembly"),
    ];
    let matches = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
    // A transport stream repeats its sync byte; once at 188 alone would match text.
    MAGIC
        .iter()
        .find(|(at, magic, _)| matches(*at, magic) && (*at != 188 || head[0] == 0x47))
        .map(|(_, _, name)| *name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(b"\xff\xd8\xff\xe0", Sniffed::Image(ImageType::Jpeg))]
    #[case(b"\x89PNG\r\n\x1a\n", Sniffed::Image(ImageType::Png))]
    #[case(b"GIF89a", Sniffed::Image(ImageType::Gif))]
    #[case(b"RIFF\0\0\0\0WEBPVP8 ", Sniffed::Image(ImageType::WebP))]
    #[case(b"BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0", Sniffed::Image(ImageType::Bmp))]
    #[case(b"RIFF\0\0\0\0AVI LIST", Sniffed::Video(VideoType::Avi))]
    #[case(b"\0\0\0\x18ftypisom\0\0\x02\0isommp42", Sniffed::Video(VideoType::Mp4))]
    #[case(b"\0\0\0\x14ftypqt  \0\0\x02\0qt  ", Sniffed::Video(VideoType::Mov))]
    #[case(b"\0\0\0\x08wide\0\0\0\x08mdat", Sniffed::Video(VideoType::Mov))]
    #[case(b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", Sniffed::Video(VideoType::WebM))]
    #[case(b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", Sniffed::Video(VideoType::Mkv))]
    fn content_that_is_taken_is_recognised(#[case] bytes: &[u8], #[case] expected: Sniffed) {
        assert_eq!(sniff(bytes), expected);
    }

    #[rstest]
    #[case(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC")]
    #[case(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC")]
    #[case(b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", "AVIF")]
    #[case(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF")]
    #[case(b"\0\0\0\x10ftypM4A \0\0\0\0", "M4A audio")]
    #[case(b"%PDF-1.7", "PDF")]
    #[case(b"PK\x03\x04\x14\0", "ZIP")]
    #[case(b"RIFF\0\0\0\0WAVEfmt ", "WAV audio")]
    #[case(b"\x1a\x45\xdf\xa3\x9f", "EBML")]
    #[case(b"\x01\x02\x03\x04\xfe", "unknown content")]
    #[case(b"BM is no bitmap, only a sentence", "text")]
    fn anything_else_is_refused_by_name(#[case] bytes: &[u8], #[case] name: &'static str) {
        assert_eq!(sniff(bytes), Sniffed::Other(name));
        assert!(matches!(sniff(bytes).image(), Err(MediaError::Unsupported(_))));
        assert!(matches!(sniff(bytes).video(), Err(MediaError::Unsupported(_))));
    }

    #[test]
    fn nothing_is_empty_and_not_unsupported() {
        assert_eq!(sniff(b"").image(), Err(MediaError::Empty));
    }

    #[test]
    fn an_image_is_no_video() {
        assert!(matches!(sniff(b"GIF89a").video(), Err(MediaError::Unsupported(_))));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            sniff(&bytes);
        }
    }
}
