//! Small letters for plots, so that they need no font: 3 by 5 pixels each.

/// The rows of a letter from the top, three bits each, the leftmost pixel the highest bit; blank for
/// letters that are not here.
fn glyph(letter: char) -> [u8; 5] {
    let rows = match letter.to_ascii_lowercase() {
        '0' => 0o75557,
        '1' => 0o26227,
        '2' => 0o71747,
        '3' => 0o71317,
        '4' => 0o55711,
        '5' => 0o74717,
        '6' => 0o74757,
        '7' => 0o71122,
        '8' => 0o75757,
        '9' => 0o75717,
        'a' => 0o25755,
        'b' => 0o65656,
        'c' => 0o34443,
        'd' => 0o65556,
        'e' => 0o74647,
        'f' => 0o74644,
        'g' => 0o34553,
        'h' => 0o55755,
        'i' => 0o72227,
        'j' => 0o11152,
        'k' => 0o55655,
        'l' => 0o44447,
        'm' => 0o57755,
        'n' => 0o65555,
        'o' => 0o25552,
        'p' => 0o65644,
        'q' => 0o25563,
        'r' => 0o65655,
        's' => 0o34216,
        't' => 0o72222,
        'u' => 0o55557,
        'v' => 0o55552,
        'w' => 0o55775,
        'x' => 0o55255,
        'y' => 0o55222,
        'z' => 0o71247,
        '.' => 0o00002,
        ',' => 0o00024,
        '-' => 0o00700,
        '+' => 0o02720,
        '/' => 0o11244,
        ':' => 0o02020,
        '%' => 0o51245,
        '_' => 0o00007,
        _ => 0,
    };
    std::array::from_fn(|row| (rows >> (3 * (4 - row)) & 7) as u8)
}

/// Letters are twice as large as they are drawn above.
const SCALE: i32 = 2;
pub(crate) const HEIGHT: i32 = 5 * SCALE;

pub(crate) fn width(text: &str) -> i32 {
    text.chars().count() as i32 * 4 * SCALE - SCALE
}

/// The pixels of a text whose upper left corner is at 0, 0.
pub(crate) fn pixels(text: &str) -> Vec<(i32, i32)> {
    let mut pixels = Vec::new();
    for (place, letter) in text.chars().enumerate() {
        for (row, bits) in glyph(letter).into_iter().enumerate() {
            for column in (0..3).filter(|column| bits >> (2 - column) & 1 == 1) {
                let (x, y) = ((4 * place as i32 + column) * SCALE, row as i32 * SCALE);
                pixels.extend((0..SCALE * SCALE).map(|i| (x + i % SCALE, y + i / SCALE)));
            }
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_look_like_themselves() {
        let draw = |text: &str| {
            let on = pixels(text);
            let row = |y| (0..width(text)).step_by(2).map(|x| if on.contains(&(x, y)) { '#' } else { ' ' }).collect();
            (0..HEIGHT).step_by(2).map(row).collect::<Vec<String>>()
        };
        assert_eq!(draw("14"), [" #  # #", "##  # #", " #  ###", " #    #", "###   #"]);
        assert_eq!(draw(" "), ["   "; 5]);
    }
}
