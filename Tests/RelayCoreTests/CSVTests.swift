import RelayCore
import Testing

@Suite("Comma-separated values") struct CSVTests {
    /// Returns each record as `line: cell|cell`, and each mistake as `line: fault`.
    private func read(_ text: String, pieces: Int = .max) -> [String] {
        var reader = CSV.Reader()
        var found: [String] = []
        func tell(_ record: CSV.Reader.Found) {
            switch record.record {
            case .success(let cells): found.append("\(record.line): \(cells.joined(separator: "|"))")
            case .failure(let failure): found.append("\(record.line): \(failure.fault)")
            }
        }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            reader.read(rest.prefix(pieces), tell)
            rest = rest.dropFirst(pieces)
        }
        reader.finish(tell)
        return found
    }

    @Test(arguments: [
        ("", []), ("\n\r\n  \n", []), ("a", ["1: a"]), ("a\n", ["1: a"]), ("a\r\nb\n", ["1: a", "2: b"]),
        ("a,b,\n", ["1: a|b|"]), (",\n", ["1: |"]), ("\n\na", ["3: a"]), (" a , b c \n", ["1: a|b c"]),
        ("\"a,b\",c", ["1: a,b|c"]), ("\"a\"\"b\"", ["1: a\"b"]), ("\"\"", ["1: "]), (" \" a \" ,b", ["1:  a |b"]),
        ("\"a\nb\",c\nd", ["1: a\nb|c", "3: d"]), ("\"a\r\n\r\nb\"\nc", ["1: a\r\n\r\nb", "4: c"]),
        ("\u{FEFF}a,b\n\u{FEFF}c", ["1: a|b", "2: \u{FEFF}c"]), ("ü,€", ["1: ü|€"]),
        ("a\"b\"\nc", ["1: quoteInside", "2: c"]), ("\"a\"b\nc", ["1: textBehindQuote", "2: c"]),
        ("a\n\"b\nc\nd", ["1: a", "2: openQuote"]), ("\"", ["1: openQuote"]),
    ])
    func reads(_ text: String, _ records: [String]) {
        for pieces in [1, 2, 3, 7, .max] { #expect(read(text, pieces: pieces) == records) }
    }

    @Test func lineLengthAndCellCountAreBounded() {
        let long = String(repeating: "x", count: CSV.longestRecord)
        #expect(read("\(long)\nb") == ["1: \(long)", "2: b"])
        for pieces in [1000, Int.max] {
            #expect(read("\(long)x\nb\n\(long)xx", pieces: pieces) == ["1: tooLong", "2: b", "3: tooLong"])
        }
        #expect(read(String(repeating: ",", count: CSV.mostCells) + "\nb") == ["1: tooManyCells", "2: b"])
    }

    /// It is unknown where the quoted text should end, so nothing after the quote is read.
    @Test func unclosedQuoteStopsTheReader() {
        let lines = String(repeating: "x@example.com\n", count: 2000)
        #expect(read("a\n\"b\n\(lines)") == ["1: a", "2: openQuote"])
    }

    @Test func linesThatAreNotUTF8AreReported() {
        var reader = CSV.Reader()
        var found: [CSV.Reader.Found] = []
        reader.read([0x61, 0xFC, 0x0A, 0x62, 0x0A]) { found.append($0) }
        #expect(found.map(\.line) == [1, 2])
        #expect(found.first?.record == .failure(CSV.Reader.Failure(.notUTF8)))
    }

    @Test(arguments: [
        (["a", "", "b"], "a,,b\n"), (["a,b", "c\"d", "e\nf", " g"], "\"a,b\",\"c\"\"d\",\"e\nf\",\" g\"\n"),
        (["=1+1", "+1", "-1", "@x", "\tx"], "'=1+1,'+1,'-1,'@x,'\tx\n"), (["'=1", "'a", "''"], "''=1,'a,''\n"),
    ])
    func writes(_ cells: [String], _ line: String) { #expect(CSV.line(cells) == line) }

    @Test(arguments: [
        "", "a", "=1", "'=1", "''=1", "'a", "'", "-x@example.com", "\"a b\"@example.com", "a,b", "\n", "\r", "\t", " ",
        "a\r\nb", "\"", "\"\"", "+\"", "@,\n", "ü",
    ])
    func readsWhatItWrites(_ cell: String) throws {
        var reader = CSV.Reader()
        var cells: [String]?
        reader.read(Array(CSV.line([cell, "end"]).utf8)[...]) { cells = try? $0.record.get() }
        #expect(cells?.map(CSV.unguarded) == [cell, "end"])
    }
}
