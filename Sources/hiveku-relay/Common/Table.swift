import RelayCore

/// A table with aligned columns for a terminal. It has no colour and no lines, so that it is also readable in a pipe.
struct Table {
    private var rows: [[String]]
    private let rightAligned: Set<Int>

    init(_ header: [String], rightAligned: Set<Int> = []) {
        rows = [header]
        self.rightAligned = rightAligned
    }

    mutating func append(_ row: [String]) { rows.append(row.map { printable($0) }) }

    func print() {
        for line in lines { Swift.print(line) }
    }

    var lines: [String] {
        let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (column, text) in row.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - text.count)
                line += rightAligned.contains(column) ? padding + text : text + padding
                if column < row.count - 1 { line += "  " }
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }
}

/// Prints names and values, with the values aligned.
func printRows(_ rows: [(String, String)]) {
    let width = rows.map(\.0.count).max() ?? 0
    for (name, value) in rows {
        print("\(name):\(String(repeating: " ", count: width - name.count + 1))\(printable(value))")
    }
}
