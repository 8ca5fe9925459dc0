//! The profile as a page of its own: template, style and scripts are part of the program, the data go in as JSON.

use anyhow::Result;

use super::Report;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPTS: [&str; 3] =
    [include_str!("page/charts.js"), include_str!("page/table.js"), include_str!("page/page.js")];

/// The page. It asks for nothing from anywhere: its own policy forbids it.
pub(super) fn render(report: &Report<'_>) -> Result<String> {
    // The data last: no name in them can then stand for a place in the template.
    let page = TEMPLATE.replace("{{style}}", STYLE).replace("{{script}}", &SCRIPTS.join("\n"));
    Ok(page.replace("{{data}}", &embedded(&serde_json::to_string(report)?)))
}

/// JSON that no name in it can end early: `</script>` and `<!--` both need a `<`, which stands in strings only.
fn embedded(json: &str) -> String {
    json.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_data_cannot_end_their_script() {
        let name = "a</script><script>alert(1)</script><!-- {{style}}";
        let text = embedded(&serde_json::to_string(name).unwrap());
        assert!(!text.contains('<'), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), name);
    }

    #[test]
    fn the_template_has_each_place_once_and_nothing_from_elsewhere() {
        for place in ["{{style}}", "{{script}}", "{{data}}"] {
            assert_eq!(TEMPLATE.matches(place).count(), 1, "{place}");
        }
        for text in [TEMPLATE, STYLE].into_iter().chain(SCRIPTS) {
            for outside in ["https:", "src=", "@import", "url(", "fetch(", "innerHTML"] {
                assert!(!text.contains(outside), "{outside}");
            }
        }
    }
}
