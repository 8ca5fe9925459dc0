//! What a check of predictions found, as text, as JSON, and as a page with plots.

use serde_json::{Value, json};
use tilewise::predict::stats::{Told, quantile};

use super::check::{Network, Point, TELLERS, Teller};
use crate::output::{Align, Table};
use crate::page::{self, Dot};

/// Points of one kind, and what they are.
struct Cloud<'a> {
    of: &'static str,
    points: Vec<&'a Point>,
}

/// Operations of the smallest network that correlations and plots are of: what the LeNets do, thousands of times less than
/// any other, would decide them alone.
const SMALLEST: f64 = 1e8;

/// The networks where there are enough to compare, and their layers that multiply.
fn clouds(networks: &[Network]) -> Vec<Cloud<'_>> {
    let totals = networks.iter().map(|network| &network.total);
    let totals = Cloud { of: "network", points: totals.filter(|p| p.flops >= SMALLEST).collect() };
    let steps = networks.iter().flat_map(|network| &network.steps);
    let steps = Cloud { of: "layer", points: steps.filter(|p| p.flops > 0.0).collect() };
    [totals, steps].into_iter().filter(|cloud| cloud.points.len() > 2).collect()
}

impl Cloud<'_> {
    fn told(&self, teller: &Teller) -> Told {
        teller.over(&self.points)
    }

    fn plot(&self, teller: &Teller) -> String {
        let unit = if teller.is_time { 1e3 } else { 1.0 };
        let dot = |p: &&Point| Dot {
            at: [unit * (teller.get)(p), 1e3 * p.measured],
            name: format!("{}: {:.4} ms", p.name, 1e3 * p.measured),
            label: (self.of == "network").then(|| p.name.clone()),
        };
        let dots: Vec<Dot> = self.points.iter().map(dot).collect();
        let title =
            if teller.is_time { "predicted ms".to_owned() } else { format!("{} of a {}", teller.name, self.of) };
        page::dots(&dots, [&title, "measured ms"], teller.is_time)
    }
}

pub(super) fn as_json(about: &str, networks: &[Network]) -> Value {
    let network = |network: &Network| {
        let ranks = TELLERS.iter().map(|teller| (teller.name.to_owned(), json!(network.ranks(teller))));
        json!({"network": network.total.name, "flops": network.total.flops, "bytes": network.total.bytes,
               "measured_ms": network.total.measured * 1e3, "predicted_ms": network.total.predicted * 1e3,
               "error": network.total.error(), "layer_error_median": network.error(0.5),
               "layer_error_p90": network.error(0.9), "layers": network.steps.len(),
               "layer_spearman": ranks.collect::<serde_json::Map<_, _>>()})
    };
    let told = |cloud: &Cloud<'_>| {
        let one = |teller: &Teller| {
            let told = cloud.told(teller);
            json!({"of": teller.name, "pearson": told.pearson, "pearson_log": told.pearson_log,
                   "spearman": told.spearman, "error_median": told.median, "error_p90": told.p90})
        };
        (format!("{}s_told_by", cloud.of), json!(TELLERS.iter().map(one).collect::<Vec<_>>()))
    };
    let mut report = json!({"machine": about, "networks": networks.iter().map(network).collect::<Vec<_>>(),
                            "error_median": total_error(networks, 0.5), "error_p90": total_error(networks, 0.9)});
    for (key, value) in clouds(networks).iter().map(told) {
        report[key] = value;
    }
    report
}

/// The error below which a share of the networks lies.
fn total_error(networks: &[Network], share: f64) -> f64 {
    quantile(&networks.iter().map(|network| network.total.error().abs()).collect::<Vec<_>>(), share)
}

const HEADS: [(&str, Align); 9] = [
    ("network", Align::Left),
    ("measured ms", Align::Right),
    ("predicted ms", Align::Right),
    ("error", Align::Right),
    ("layers' median", Align::Right),
    ("layers' p90", Align::Right),
    ("ranks by operations", Align::Right),
    ("by bytes", Align::Right),
    ("by prediction", Align::Right),
];

fn rows(networks: &[Network]) -> Vec<Vec<String>> {
    let row = |network: &Network| {
        let total = &network.total;
        let head = [
            total.name.clone(),
            format!("{:.3}", total.measured * 1e3),
            format!("{:.3}", total.predicted * 1e3),
            format!("{:+.1} %", 100.0 * total.error()),
            percent(network.error(0.5)),
            percent(network.error(0.9)),
        ];
        head.into_iter().chain(TELLERS.iter().map(|teller| format!("{:.2}", network.ranks(teller)))).collect()
    };
    networks.iter().map(row).collect()
}

const TOLD_HEADS: [(&str, Align); 7] = [
    ("time of a", Align::Left),
    ("told by its", Align::Left),
    ("Pearson", Align::Right),
    ("of logarithms", Align::Right),
    ("Spearman", Align::Right),
    ("median error", Align::Right),
    ("p90", Align::Right),
];

fn told_rows(networks: &[Network]) -> Vec<Vec<String>> {
    let row = |cloud: &Cloud<'_>, teller: &Teller| {
        let told = cloud.told(teller);
        let figures = [told.pearson, told.pearson_log, told.spearman].map(|r| format!("{r:.3}"));
        let head = [cloud.of.to_owned(), teller.name.to_owned()];
        head.into_iter().chain(figures).chain([percent(told.median), percent(told.p90)]).collect()
    };
    clouds(networks).iter().flat_map(|cloud| TELLERS.iter().map(move |teller| row(cloud, teller))).collect()
}

fn percent(error: f64) -> String {
    format!("{:.1} %", 100.0 * error)
}

const LEGEND: &str = "Ranks: Spearman's correlation of the layers' operations, bytes and predictions with their times. \
                      Median error: of a time that is told by this figure alone; of operations and bytes at their median \
                      rate. Layers that do not multiply count only in ranks.";

fn summary(networks: &[Network]) -> String {
    let [median, p90] = [0.5, 0.9].map(|share| percent(total_error(networks, share)));
    format!("Predicted against measured time of a network: median error {median}, p90 {p90}.")
}

fn render(heads: &[(&'static str, Align)], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new(heads);
    rows.into_iter().for_each(|row| table.row(row));
    table.render()
}

pub(super) fn text(about: &str, networks: &[Network]) -> String {
    let tables = [render(&HEADS, rows(networks)), render(&TOLD_HEADS, told_rows(networks))];
    format!("{about}\n\n{}\n{}\n\n{}\n{LEGEND}\n", tables[0], summary(networks), tables[1])
}

pub(super) fn html(about: &str, networks: &[Network]) -> String {
    let mut body = page::paragraph(about) + &page::paragraph(&summary(networks));
    body += &page::table(&TOLD_HEADS.map(|(head, _)| head), &told_rows(networks));
    body += &page::paragraph(LEGEND);
    for cloud in clouds(networks) {
        for teller in &TELLERS {
            body += &page::section(&format!("Time of a {} by its {}", cloud.of, teller.name));
            body += &cloud.plot(teller);
        }
    }
    body += &page::section("Networks");
    body += &page::table(&HEADS.map(|(head, _)| head), &rows(networks));
    page::page("Operations, bytes and time", &body)
}
