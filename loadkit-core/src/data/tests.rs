use super::*;
use proptest::prelude::*;

fn table(name: &str, text: &str) -> Table {
    Table::parse(name, text).unwrap()
}

#[test]
fn csv_rows_come_as_written() {
    let table = table("a.csv", "name, secret \r\nada,1\r\n\n\"bo\nb\",\"say \"\"hi\"\", twice\"\n\neve,");
    assert_eq!(table.len(), 3);
    let rows: Vec<Row> = (0..3).filter_map(|n| table.row(n)).collect();
    assert_eq!(rows[0].get("secret"), Some("1"));
    assert_eq!(rows[1].get("name"), Some("bo\nb"));
    assert_eq!(rows[1].get("secret"), Some("say \"hi\", twice"));
    assert_eq!(rows[2].get("secret"), Some(""));
    assert_eq!((rows[0].get("nothing"), table.row(3)), (None, None));
    assert_eq!(rows[0].as_map().into_iter().collect::<Vec<_>>(), [("name", "ada"), ("secret", "1")]);
}

#[test]
fn json_rows_come_as_written() {
    let text =
        "\u{feff}{\"name\": \"ada\", \"level\": 7, \"tags\": [1, 2], \"none\": null}\r\n\n  \n{\"name\":\"bob\"}";
    let table = table("a.jsonl", text);
    assert_eq!(table.len(), 2);
    let ada = table.row(0).unwrap();
    assert_eq!((ada.get("name"), ada.get("level"), ada.get("tags")), (Some("ada"), Some("7"), Some("[1,2]")));
    assert_eq!(table.row(1).unwrap().first(), Some("bob"));
    assert_eq!(ada.get("none"), None);
    assert_eq!(table.row(1).unwrap().get("name"), Some("bob"));
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_name() {
    assert_eq!(table("a.csv", "\u{feff}name\nada").row(0).unwrap().get("name"), Some("ada"));
}

#[test]
fn a_header_alone_is_an_empty_table() {
    assert!(table("a.csv", "name\n").is_empty());
    assert!(table("a.jsonl", "\n").is_empty());
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let long_row = format!("name\n{}", "x".repeat(MAX_ROW + 1));
    let long_line = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_ROW));
    let table: [(&str, &[u8], &str); 13] = [
        ("a.csv", b"", "a.csv:1: the file is empty"),
        ("a.csv", b"a,b\n1,2\n3\n", "a.csv:3: the row has 1 fields, but there are 2 columns"),
        ("a.csv", b"a\n\n\n1,2\n", "a.csv:4: the row has 2 fields"),
        ("a.csv", b"a,b\n\"x\ny\",2\n3\n", "a.csv:4: the row has 1 fields"),
        ("a.csv", b"a,a\n", "a.csv:1: two columns are called `a`"),
        ("a.csv", b"a,,b\n", "a.csv:1: column 2 has no name"),
        ("a.csv", b"a\nx\n\xff\n", "a.csv:3: the text is not UTF-8"),
        ("a.csv", long_row.as_bytes(), "a.csv:2: the row is longer than 64 KiB"),
        ("a.jsonl", b"{}\n{\"a\": }\n", "a.jsonl:2: expected value at column 7"),
        ("a.jsonl", b"[1]\n", "a.jsonl:1: invalid type: sequence"),
        ("a.jsonl", b"{}{}\n", "a.jsonl:1: trailing characters"),
        ("a.jsonl", long_line.as_bytes(), "a.jsonl:1: the line is longer than 64 KiB"),
        ("a.txt", b"", "a.txt is of an unknown kind"),
    ];
    for (name, bytes, message) in table {
        let error = Table::parse(name, bytes).expect_err(message).to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn a_missing_row_says_what_to_do() {
    let table = table("accounts.csv", &format!("name\n{}", "ada\n".repeat(500)));
    assert!(table.require(500, "accounts").is_ok());
    assert_eq!(
        table.require(1000, "accounts").unwrap_err().to_string(),
        "the plan seats 1,000 players, accounts.csv has 500 rows of accounts: add rows or lower `bots`"
    );
}

#[test]
fn files_are_loaded_by_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.CSV");
    std::fs::write(&path, "name\nada\n").unwrap();
    assert_eq!(Table::load(&path).unwrap().len(), 1);
    let missing = Table::load(folder.path().join("b.csv")).unwrap_err();
    assert!(matches!(missing, DataError::Read { .. }), "{missing}");
}

#[test]
fn a_large_file_costs_four_bytes_a_row() {
    let text: String = std::iter::once("id\n".to_owned()).chain((0..100_000).map(|n| format!("{n}\n"))).collect();
    let table = table("a.csv", &text);
    assert_eq!((table.len(), table.text.len(), size_of_val(&*table.offsets)), (100_000, text.len(), 400_004));
    assert_eq!(table.row(99_999).unwrap().get("id"), Some("99999"));
}

proptest! {
    #[test]
    fn what_a_csv_writer_writes_is_read(rows in prop::collection::vec(("\\PC{0,8}", "[a\"\r\n, ]{0,6}"), 0..20)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["a", "b"]).unwrap();
        for (a, b) in &rows {
            writer.write_record([a, b]).unwrap();
        }
        let table = Table::parse("a.csv", writer.into_inner().unwrap()).unwrap();
        prop_assert_eq!(table.len(), rows.len());
        for (n, (a, b)) in rows.iter().enumerate() {
            let row = table.row(n).unwrap();
            prop_assert_eq!((row.get("a"), row.get("b")), (Some(a.as_str()), Some(b.as_str())));
        }
    }

    #[test]
    fn no_bytes_panic_and_every_row_that_is_counted_is_there(bytes in prop::collection::vec(any::<u8>(), 0..60), csv in any::<bool>()) {
        let name = if csv { "a.csv" } else { "a.jsonl" };
        if let Ok(table) = Table::parse(name, bytes) {
            prop_assert!((0..table.len()).all(|n| table.row(n).is_some()));
        }
    }

    #[test]
    fn no_text_of_rows_panics(text in "[a\",\n\r {}:1]{0,40}", csv in any::<bool>()) {
        let name = if csv { "a.csv" } else { "a.jsonl" };
        if let Ok(table) = Table::parse(name, text) {
            prop_assert!((0..table.len()).all(|n| table.row(n).is_some()));
            if let Format::Csv(names) = &table.format {
                prop_assert!((0..table.len()).all(|n| table.row(n).unwrap().iter().count() == names.len()));
            }
        }
    }
}
