//! Self-contained pages: tables and charts as HTML and SVG, without a script and without a network.

/// A page with its own style, light or dark as the reader's system is.
pub(crate) fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>tilewise: {title}</title>\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <h1>{title}</h1>\n{body}</body>\n</html>\n"
    )
}

const STYLE: &str = "\
:root { color-scheme: light dark; --bar: light-dark(#2a6fb0, #6cb0f0); --ink: light-dark(#222, #ddd);
  --line: light-dark(#bbb, #555); --mark: light-dark(#b03a2a, #f0907c); --back: light-dark(#fff, #181a1d); }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--back); margin: 2rem auto;
  max-width: 88rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td.words { text-align: left; white-space: normal; min-width: 22rem; }
svg { max-width: 100%; height: auto; display: block; margin: .8rem 0; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
.bar { fill: var(--bar); } circle { fill: var(--bar); fill-opacity: .55; r: 4px; }
svg text.label { font-size: 11px; opacity: .8; }
.axis { stroke: var(--line); } .mark { stroke: var(--mark); stroke-dasharray: 5 4; }
";

/// A heading.
pub(crate) fn section(title: &str) -> String {
    format!("<h2>{}</h2>\n", escaped(title))
}

/// A paragraph of plain text.
pub(crate) fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escaped(text))
}

/// A table; cells of more than 40 characters are set as running text.
pub(crate) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{}</th>", escaped(head))).collect();
    let cell = |cell: &String| {
        let class = if cell.chars().count() > 40 { " class=\"words\"" } else { "" };
        format!("<td{class}>{}</td>", escaped(cell))
    };
    let row = |row: &Vec<String>| format!("<tr>{}</tr>\n", row.iter().map(cell).collect::<String>());
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"wide\" tabindex=\"0\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n\
             </table></div>\n"
    )
}

/// One bar of a chart.
pub(crate) struct Bar {
    /// What it stands for.
    pub(crate) name: String,
    /// Its length.
    pub(crate) value: f64,
    /// The value in words.
    pub(crate) label: String,
}

/// Lying bars from zero on, with a line at a value that they are held against.
pub(crate) fn bars(bars: &[Bar], (mark, what): (f64, &str)) -> String {
    let ([left, long], [row, high]) = ([150.0, 560.0], [26.0, 18.0]);
    let most = bars.iter().map(|bar| bar.value).fold(mark, f64::max);
    let x = |value: f64| left + long * value / most;
    let bottom = row * bars.len() as f64;
    let mut svg = String::new();
    for (at, bar) in bars.iter().enumerate() {
        let top = row * at as f64 + 4.0;
        let (name, label, end) = (escaped(&bar.name), escaped(&bar.label), x(bar.value));
        svg += &format!("<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>", left - 8.0, top + 14.0);
        svg +=
            &format!("<rect class=\"bar\" x=\"{left}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{high}\"/>", end - left);
        svg += &format!("<text x=\"{:.1}\" y=\"{:.1}\">{label}</text>\n", end + 8.0, top + 14.0);
    }
    let at = x(mark);
    svg += &format!("<line class=\"mark\" x1=\"{at:.1}\" y1=\"0\" x2=\"{at:.1}\" y2=\"{bottom:.1}\"/>");
    svg += &format!("<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", bottom + 16.0, escaped(what));
    figure([left + long + 220.0, bottom + 24.0], &svg)
}

/// One dot of a chart.
pub(crate) struct Dot {
    /// Where it stands; both are positive.
    pub(crate) at: [f64; 2],
    /// What a pointer on it is told.
    pub(crate) name: String,
    /// What stands beside it, where there is room.
    pub(crate) label: Option<String>,
}

/// Dots over two logarithmic axes, with the line on which both are equal where they have one unit.
pub(crate) fn dots(dots: &[Dot], titles: [&str; 2], same_unit: bool) -> String {
    let ([left, top], side) = ([70.0, 10.0], 420.0);
    let ticks = [0, 1].map(|axis| ticks(dots.iter().map(|dot| dot.at[axis])));
    let ranges = ticks.each_ref().map(|ticks| (ticks[0].log10(), ticks[ticks.len() - 1].log10()));
    let place = |axis: usize, log: f64| {
        let (low, high) = ranges[axis];
        let along = side * (log - low) / (high - low);
        if axis == 0 { left + along } else { top + side - along }
    };
    let mut svg = String::new();
    for (axis, ticks) in ticks.iter().enumerate() {
        for tick in ticks {
            let (at, name) = (
                place(axis, tick.log10()),
                if (1e-3..1e4).contains(tick) { format!("{tick}") } else { format!("{tick:e}") },
            );
            let (line, x, y, anchor) = match axis {
                0 => ([at, top, at, top + side], at, top + side + 16.0, "middle"),
                _ => ([left, at, left + side, at], left - 6.0, at + 4.0, "end"),
            };
            let [x1, y1, x2, y2] = line;
            svg += &format!("<line class=\"axis\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>");
            svg += &format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{name}</text>\n");
        }
    }
    if same_unit {
        let (low, high) = (ranges[0].0.max(ranges[1].0), ranges[0].1.min(ranges[1].1));
        let [x1, x2, y1, y2] = [place(0, low), place(0, high), place(1, low), place(1, high)];
        svg += &format!("<line class=\"mark\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>\n");
    }
    for dot in dots {
        let [x, y] = [0, 1].map(|axis| place(axis, dot.at[axis].log10()));
        let name = escaped(&dot.name);
        svg += &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\"><title>{name}</title></circle>\n");
    }
    svg += &labels(dots, |dot| [0, 1].map(|axis| place(axis, dot.at[axis].log10())), [left, left + side]);
    let [across, up] = titles.map(escaped);
    let (middle, bottom) = (left + side / 2.0, top + side + 36.0);
    svg += &format!("<text x=\"{middle:.0}\" y=\"{bottom:.0}\" text-anchor=\"middle\">{across}</text>");
    svg += &format!(
        "<text transform=\"translate(16 {:.0}) rotate(-90)\" text-anchor=\"middle\">{up}</text>",
        top + side / 2.0
    );
    figure([left + side + 20.0, bottom + 8.0], &svg)
}

/// Where a logarithmic axis has lines: 1, 2 and 5 of each decade, or the decades alone where they are many; the first and
/// the last are around all values.
fn ticks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let (least, most) = values.fold((f64::INFINITY, 0.0f64), |(least, most), x| (least.min(x), most.max(x)));
    let steps: &[f64] = if most > 300.0 * least { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let decades = least.log10().floor() as i32..=most.log10().ceil() as i32;
    let all: Vec<f64> = decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade))).collect();
    let first = all.iter().rposition(|&tick| tick <= least).unwrap_or(0);
    let last = all.iter().position(|&tick| tick >= most).unwrap_or(all.len() - 1);
    all[first..=last.max(first + 1)].to_vec()
}

/// Labels to the right of their dots, else to the left; one that would cover another or leave the chart is left out.
fn labels(dots: &[Dot], place: impl Fn(&Dot) -> [f64; 2], [left, right]: [f64; 2]) -> String {
    let (high, gap) = (12.0, 7.0);
    // Boxes from the left to the right, at a baseline.
    let mut taken: Vec<[f64; 3]> = Vec::new();
    let mut svg = String::new();
    for (dot, label) in dots.iter().filter_map(|dot| Some((dot, dot.label.as_ref()?))) {
        let ([x, y], wide) = (place(dot), 6.5 * label.chars().count() as f64);
        let ways = [("start", x + gap, x + gap), ("end", x - gap, x - gap - wide)];
        let free = |from: f64| {
            from >= left
                && from + wide <= right
                && taken.iter().all(|&[a, b, at]| b < from || a > from + wide || (at - y).abs() >= high)
        };
        if let Some((anchor, at, from)) = ways.into_iter().find(|&(_, _, from)| free(from)) {
            taken.push([from, from + wide, y]);
            let label = escaped(label);
            svg += &format!(
                "<text class=\"label\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{label}</text>\n",
                y + 4.0
            );
        }
    }
    svg
}

fn figure([width, height]: [f64; 2], svg: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n{svg}\n</svg>\n"
    )
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_bars_are_in_proportion() {
        assert!(page("a<b", &paragraph("x & \"y\"")).contains("<p>x &amp; &quot;y&quot;</p>"));
        let bar = |value| Bar { name: "<n>".into(), value, label: String::new() };
        let svg = bars(&[bar(1.0), bar(4.0)], (8.0, "peak"));
        assert!(
            svg.contains("&lt;n&gt;") && svg.contains("width=\"70.0\"") && svg.contains("width=\"280.0\""),
            "{svg}"
        );
        assert!(svg.contains("x1=\"710.0\""), "{svg}");
    }

    #[test]
    fn dots_stand_by_their_logarithms() {
        let dot = |x, y| Dot { at: [x, y], name: "d".into(), label: None };
        let svg = dots(&[dot(1.0, 1.0), dot(10.0, 100.0)], ["x", "y"], true);
        // One decade across 420 units, two decades up.
        assert!(svg.contains("cx=\"70.0\" cy=\"430.0\"") && svg.contains("cx=\"490.0\" cy=\"10.0\""), "{svg}");
        assert!(svg.contains("class=\"mark\" x1=\"70.0\" y1=\"430.0\" x2=\"490.0\" y2=\"220.0\""), "{svg}");
    }

    #[test]
    fn axes_are_no_longer_than_they_must_be() {
        let of = |values: &[f64]| ticks(values.iter().copied());
        assert_eq!(of(&[0.3, 4.0]), [0.2, 0.5, 1.0, 2.0, 5.0]);
        assert_eq!(of(&[3.0, 4e3]), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(of(&[1.0]), [1.0, 2.0]);
        assert_eq!(of(&[10.0]), [10.0, 20.0]);
    }

    #[test]
    fn labels_cover_no_other() {
        let dot = |x, y| Dot { at: [x, y], name: "d".into(), label: Some("network".into()) };
        let dots = [dot(40.0, 50.0), dot(45.0, 50.0), dot(50.0, 50.0), dot(95.0, 90.0)];
        let svg = labels(&dots, |dot| dot.at, [0.0, 100.0]);
        // Right of the first, nowhere for the two between, left of the last.
        assert_eq!(svg.matches("<text").count(), 2, "{svg}");
        assert!(svg.contains("x=\"47.0\" y=\"54.0\" text-anchor=\"start\""), "{svg}");
        assert!(svg.contains("x=\"88.0\" y=\"94.0\" text-anchor=\"end\""), "{svg}");
    }
}
