//! Writes rankings as text, JSON lines, CSV or Parquet.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::{ArrayRef, Float32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::json;
use tilewise::Ranked;

use super::Format;
use crate::output::{Align, Table, sink};

/// The result for one photo.
pub(super) struct Row {
    pub(super) path: String,
    pub(super) top: Vec<Ranked>,
    pub(super) error: Option<String>,
}

/// The columns of the formats with one line for each photo and class.
const COLUMNS: [&str; 6] = ["path", "rank", "class", "label", "score", "error"];
/// Photos of one Parquet row group.
const GROUP: usize = 4096;

/// Where rows go.
pub(super) enum Writer {
    Table(Table, Box<dyn Write>),
    Json(Box<dyn Write>),
    Csv(Box<csv::Writer<Box<dyn Write>>>),
    Parquet(Vec<Row>, Option<Box<ArrowWriter<File>>>, File),
}

impl Writer {
    pub(super) fn new(format: Format, path: Option<&Path>) -> Result<Self> {
        Ok(match format {
            Format::Table => {
                let columns =
                    [("photo", Align::Left), ("", Align::Right), ("label", Align::Left), ("class", Align::Right)];
                Writer::Table(Table::new(&columns), sink(path)?)
            }
            Format::Json => Writer::Json(sink(path)?),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(sink(path)?);
                writer.write_record(COLUMNS)?;
                Writer::Csv(Box::new(writer))
            }
            Format::Parquet => {
                let path = path.context("Parquet is written to a file: give -o FILE.parquet")?;
                let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
                Writer::Parquet(Vec::new(), None, file)
            }
        })
    }

    pub(super) fn row(&mut self, row: Row) -> Result<()> {
        match self {
            Writer::Table(table, _) => table_rows(table, &row),
            Writer::Json(out) => {
                let top: Vec<_> =
                    row.top.iter().map(|r| json!({"class": r.class, "label": r.label, "score": r.score})).collect();
                serde_json::to_writer(&mut *out, &json!({"path": row.path, "top": top, "error": row.error}))?;
                writeln!(out)?;
                // A reader at the other end of a pipe sees each photo when it is done.
                out.flush()?;
            }
            Writer::Csv(writer) => csv_rows(writer, &row)?,
            Writer::Parquet(rows, writer, file) => {
                rows.push(row);
                if rows.len() == GROUP {
                    write_group(rows, writer, file)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<()> {
        match self {
            Writer::Table(table, mut out) => {
                out.write_all(table.render().as_bytes())?;
                out.flush()?;
            }
            Writer::Json(mut out) => out.flush()?,
            Writer::Csv(mut writer) => writer.flush()?,
            Writer::Parquet(mut rows, mut writer, file) => {
                write_group(&mut rows, &mut writer, &file)?;
                if let Some(writer) = writer {
                    writer.close()?;
                }
            }
        }
        Ok(())
    }
}

fn table_rows(table: &mut Table, row: &Row) {
    if let Some(error) = &row.error {
        table.row(vec![row.path.clone(), "-".to_owned(), format!("error: {error}"), String::new()]);
    }
    for (rank, r) in row.top.iter().enumerate() {
        let path = if rank == 0 { row.path.clone() } else { String::new() };
        table.row(vec![path, format!("{:.2} %", 100.0 * r.score), r.label.clone(), r.class.to_string()]);
    }
}

fn csv_rows(writer: &mut csv::Writer<Box<dyn Write>>, row: &Row) -> Result<()> {
    if let Some(error) = &row.error {
        writer.write_record([&row.path, "", "", "", "", error])?;
    }
    for (rank, r) in row.top.iter().enumerate() {
        let (rank, class, score) = ((rank + 1).to_string(), r.class.to_string(), r.score.to_string());
        writer.write_record([&row.path, &rank, &class, &r.label, &score, ""])?;
    }
    Ok(())
}

/// Writes the collected rows as one row group, and forgets them.
fn write_group(rows: &mut Vec<Row>, writer: &mut Option<Box<ArrowWriter<File>>>, file: &File) -> Result<()> {
    // A photo that failed is a line too: with a path and an error alone.
    let lines: Vec<(&Row, Option<(usize, &Ranked)>)> = rows
        .iter()
        .flat_map(|row| {
            let ranked = row.top.iter().enumerate().map(move |ranked| (row, Some(ranked)));
            ranked.chain(row.error.iter().map(move |_| (row, None)))
        })
        .collect();
    let ranked = |f: &dyn Fn(usize, &Ranked) -> i64| -> ArrayRef {
        Arc::new(lines.iter().map(|(_, r)| r.map(|(rank, r)| f(rank, r))).collect::<Int64Array>())
    };
    let columns: [ArrayRef; 6] = [
        Arc::new(lines.iter().map(|(row, _)| Some(&*row.path)).collect::<StringArray>()),
        ranked(&|rank, _| rank as i64 + 1),
        ranked(&|_, r| r.class as i64),
        Arc::new(lines.iter().map(|(_, r)| r.map(|(_, r)| &*r.label)).collect::<StringArray>()),
        Arc::new(lines.iter().map(|(_, r)| r.map(|(_, r)| r.score)).collect::<Float32Array>()),
        Arc::new(lines.iter().map(|(row, _)| row.error.as_deref()).collect::<StringArray>()),
    ];
    // All columns may be null but the path, in every group alike, whatever the first one holds.
    let named = COLUMNS.into_iter().zip(columns).map(|(name, column)| (name, column, name != "path"));
    let group = RecordBatch::try_from_iter_with_nullable(named)?;
    if writer.is_none() {
        *writer = Some(Box::new(ArrowWriter::try_new(file.try_clone()?, group.schema(), None)?));
    }
    if let Some(writer) = writer {
        writer.write(&group)?;
    }
    rows.clear();
    Ok(())
}
