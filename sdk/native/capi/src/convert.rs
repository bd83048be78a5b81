//! Formats of images, one into another. Colors are those of BT.601 with the limited range, as
//! cameras and VP8 have them.

use sealroute_codecs::{Image, MAX_SIDE};

/// As the header numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Yuv420p = 1,
    Nv12 = 2,
    Nv21 = 3,
    Yuy2 = 4,
    Uyvy = 5,
    Argb32 = 6,
    Bgra32 = 7,
    Rgb24 = 8,
    Abgr32 = 9,
    Rgba32 = 11,
}

use Format::{Abgr32, Argb32, Bgra32, Nv12, Nv21, Rgb24, Rgba32, Uyvy, Yuv420p, Yuy2};

const ALL: [Format; 10] = [
    Yuv420p, Nv12, Nv21, Yuy2, Uyvy, Argb32, Bgra32, Rgb24, Abgr32, Rgba32,
];

/// One plane: where it begins, how long a row is, and how many there are; bytes.
pub(crate) struct Plane {
    pub(crate) from: usize,
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    /// In pixels of this plane.
    pub(crate) columns: usize,
}

impl Format {
    /// None for what this library has not.
    pub(crate) fn of(number: i32) -> Option<Self> {
        ALL.into_iter().find(|format| *format as i32 == number)
    }

    /// Of an image without gaps.
    pub(crate) fn planes(self, width: u32, height: u32) -> Vec<Plane> {
        let (columns, rows) = (width as usize, height as usize);
        let (half, high) = (columns.div_ceil(2), rows.div_ceil(2));
        let row = |from, stride, rows, columns| Plane {
            from,
            stride,
            rows,
            columns,
        };
        let luma = row(0, columns, rows, columns);
        let after = columns * rows;
        match self {
            Yuv420p => {
                let u = row(after, half, high, half);
                let v = row(after + half * high, half, high, half);
                vec![luma, u, v]
            }
            Nv12 | Nv21 => vec![luma, row(after, 2 * half, high, half)],
            Yuy2 | Uyvy => vec![row(0, 4 * half, rows, columns)],
            Rgb24 => vec![row(0, 3 * columns, rows, columns)],
            Argb32 | Bgra32 | Abgr32 | Rgba32 => vec![row(0, 4 * columns, rows, columns)],
        }
    }

    /// Bytes of an image; none for sizes that are refused.
    pub(crate) fn bytes_of(self, width: u32, height: u32) -> Option<usize> {
        let is_fit = |side: u32| (1..=MAX_SIDE).contains(&side);
        let planes = (is_fit(width) && is_fit(height)).then(|| self.planes(width, height))?;
        Some(planes.iter().map(|plane| plane.stride * plane.rows).sum())
    }

    /// Where red, green and blue are in a pixel, and how many bytes it has.
    fn colors(self) -> Option<([usize; 3], usize)> {
        match self {
            Argb32 => Some(([2, 1, 0], 4)),
            Bgra32 => Some(([1, 2, 3], 4)),
            Abgr32 => Some(([0, 1, 2], 4)),
            Rgba32 => Some(([3, 2, 1], 4)),
            Rgb24 => Some(([2, 1, 0], 3)),
            _ => None,
        }
    }
}

fn byte(value: i32) -> u8 {
    value.clamp(0, 255) as u8
}

/// As encoders take it. `bytes` has the length of its format and size. None: it has not.
pub(crate) fn to_image(format: Format, width: u32, height: u32, bytes: &[u8]) -> Option<Image> {
    if format.bytes_of(width, height) != Some(bytes.len()) {
        return None;
    }
    if format == Yuv420p {
        return Image::new(width, height, bytes.to_vec()).ok();
    }
    let (columns, rows) = (width as usize, height as usize);
    let (half, high) = (columns.div_ceil(2), rows.div_ceil(2));
    let mut out = vec![0; Image::bytes_of(width, height)?];
    let (luma, chroma) = out.split_at_mut(columns * rows);
    let (us, vs) = chroma.split_at_mut(half * high);
    match format {
        Nv12 | Nv21 => {
            luma.copy_from_slice(&bytes[..columns * rows]);
            for (at, pair) in bytes[columns * rows..].chunks_exact(2).enumerate() {
                let is_u_first = format == Nv12;
                us[at] = pair[usize::from(!is_u_first)];
                vs[at] = pair[usize::from(is_u_first)];
            }
        }
        Yuy2 | Uyvy => {
            let (y, u, v) = if format == Yuy2 { (0, 1, 3) } else { (1, 0, 2) };
            for row in 0..rows {
                for column in 0..columns {
                    let four = (row * half + column / 2) * 4;
                    luma[row * columns + column] = bytes[four + y + column % 2 * 2];
                    us[row / 2 * half + column / 2] = bytes[four + u];
                    vs[row / 2 * half + column / 2] = bytes[four + v];
                }
            }
        }
        _ => {
            let ([red, green, blue], step) = format.colors()?;
            for row in 0..rows {
                for column in 0..columns {
                    let at = (row * columns + column) * step;
                    let color = |offset: usize| i32::from(bytes[at + offset]);
                    let (r, g, b) = (color(red), color(green), color(blue));
                    luma[row * columns + column] =
                        byte(((66 * r + 129 * g + 25 * b + 128) >> 8) + 16);
                    if row % 2 == 0 && column % 2 == 0 {
                        let at = row / 2 * half + column / 2;
                        us[at] = byte(((-38 * r - 74 * g + 112 * b + 128) >> 8) + 128);
                        vs[at] = byte(((112 * r - 94 * g - 18 * b + 128) >> 8) + 128);
                    }
                }
            }
        }
    }
    Image::new(width, height, out).ok()
}

/// In another format. None for those that images are not given in.
pub(crate) fn from_image(image: &Image, format: Format) -> Option<Vec<u8>> {
    if format == Yuv420p {
        return Some(image.bytes().to_vec());
    }
    let ([red, green, blue], step) = format.colors()?;
    let (columns, rows) = (image.width() as usize, image.height() as usize);
    let half = columns.div_ceil(2);
    let (luma, us, vs) = (image.plane(0)?, image.plane(1)?, image.plane(2)?);
    // Alpha, where there is one, is opaque.
    let mut out = vec![255; columns * rows * step];
    for row in 0..rows {
        for column in 0..columns {
            let chroma = row / 2 * half + column / 2;
            let y = 298 * (i32::from(luma[row * columns + column]) - 16);
            let (u, v) = (i32::from(us[chroma]) - 128, i32::from(vs[chroma]) - 128);
            let pixel = &mut out[(row * columns + column) * step..][..step];
            pixel[red] = byte((y + 409 * v + 128) >> 8);
            pixel[green] = byte((y - 100 * u - 208 * v + 128) >> 8);
            pixel[blue] = byte((y + 516 * u + 128) >> 8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::{ALL, Format, from_image, to_image};

    /// Red, green, blue and gray quarters.
    fn quarters(format: Format, width: usize, height: usize) -> Vec<u8> {
        let ([red, green, blue], step) = format.colors().unwrap();
        let mut bytes = vec![255; width * height * step];
        for at in 0..width * height {
            let (is_right, is_low) = (at % width >= width / 2, at / width >= height / 2);
            let color: [u8; 3] = match (is_right, is_low) {
                (false, false) => [200, 20, 20],
                (true, false) => [20, 200, 20],
                (false, true) => [20, 20, 200],
                (true, true) => [128, 128, 128],
            };
            for (offset, value) in [red, green, blue].into_iter().zip(color) {
                bytes[at * step + offset] = value;
            }
        }
        bytes
    }

    #[test]
    fn colors_survive_the_way_there_and_back() {
        for format in ALL.into_iter().filter(|format| format.colors().is_some()) {
            let bytes = quarters(format, 16, 8);
            let image = to_image(format, 16, 8, &bytes).unwrap();
            let back = from_image(&image, format).unwrap();
            let worst = bytes.iter().zip(&back).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst < Some(6), "{format:?} {worst:?}");
        }
    }

    #[test]
    fn every_format_has_its_length_also_of_odd_sizes() {
        for format in ALL {
            assert_eq!(Format::of(format as i32), Some(format));
            for (width, height) in [(4, 2), (3, 5), (1, 1)] {
                let length = format.bytes_of(width, height).unwrap();
                let image = to_image(format, width, height, &vec![90; length]);
                assert!(image.is_some(), "{format:?}");
                assert!(to_image(format, width, height, &vec![90; length + 1]).is_none());
            }
            for (width, height) in [(0, 4), (4, 0), (u32::MAX, 4)] {
                assert_eq!(format.bytes_of(width, height), None);
            }
        }
        for unknown in [-1, 0, 10, 12, i32::MAX] {
            assert_eq!(Format::of(unknown), None);
        }
    }

    #[test]
    fn the_same_image_in_the_formats_of_cameras_is_the_same() {
        let wanted = to_image(Format::Yuv420p, 2, 2, &[10, 20, 30, 40, 50, 60]);
        let cases: [(Format, &[u8]); 4] = [
            (Format::Nv12, &[10, 20, 30, 40, 50, 60]),
            (Format::Nv21, &[10, 20, 30, 40, 60, 50]),
            (Format::Yuy2, &[10, 50, 20, 60, 30, 50, 40, 60]),
            (Format::Uyvy, &[50, 10, 60, 20, 50, 30, 60, 40]),
        ];
        for (format, bytes) in cases {
            assert_eq!(to_image(format, 2, 2, bytes), wanted, "{format:?}");
        }
    }
}
