/// Comma-separated values (RFC 4180), as in files that are exchanged with spreadsheets and other services.
public enum CSV {
    /// The most octets of a record. A longer record is usually the result of a quote that is not closed.
    public static let longestRecord = 16 << 10
    /// The most cells of a record.
    public static let mostCells = 100

    /// A record and the line where it begins.
    public struct Record: Hashable, Sendable {
        /// The line, counted from 1. A cell may contain line ends, so a record may have several lines.
        public var line: Int
        /// The cells in order, without their enclosing quotes. There are at most `CSV.mostCells`.
        public var cells: [String]

        public init(line: Int, cells: [String]) {
            self.line = line
            self.cells = cells
        }
    }

    /// Why a record can't be read.
    public enum Fault: Hashable, Sendable {
        /// A cell that does not begin with a quote contains one.
        case quoteInside
        /// There is text after the closing quote of a cell.
        case textBehindQuote
        /// A quote opens a cell and is not closed.
        case openQuote
        case tooLong
        case tooManyCells
        case notUTF8

        /// The explanation as a sentence without its full stop.
        public var explanation: String {
            switch self {
            case .quoteInside:
                "there is a quote within a cell: put the whole cell in quotes, and double each quote within it"
            case .textBehindQuote:
                "there is text after a closing quote: double each quote within a cell, and put a comma after the cell"
            case .openQuote: "the quote that opens a cell here is never closed, so the rest can't be read"
            case .tooLong: "the line is longer than \(longestRecord) octets"
            case .tooManyCells: "the line has more than \(mostCells) cells"
            case .notUTF8: "the line is not UTF-8: save the file as UTF-8"
            }
        }
    }

    // MARK: Writing

    /// A record with its line end, which is LF.
    ///
    /// A cell that a spreadsheet would treat as a formula gets a leading apostrophe (``guarded(_:)``).
    public static func line(_ cells: [String]) -> String {
        cells.map { quoted(guarded($0)) }.joined(separator: ",") + "\n"
    }

    private static func quoted(_ cell: String) -> String {
        let isPlain = cell.utf8.allSatisfy { $0 != .quote && $0 != .comma && $0 != .lf && $0 != .cr }
        let hasBlankEnd = [cell.utf8.first, cell.utf8.last].contains { $0 == .blank || $0 == .tab }
        guard !isPlain || hasBlankEnd else { return cell }
        return "\"" + cell.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }

    // MARK: Formulas

    /// `cell` with a leading apostrophe if a spreadsheet would run it as a formula (OWASP, "CSV Injection"): if it
    /// begins with `=`, `+`, `-`, `@`, a tab or a carriage return. A cell in which apostrophes precede one of these
    /// characters gets another apostrophe, so that ``unguarded(_:)`` restores every cell exactly.
    public static func guarded(_ cell: String) -> String { isFormula(cell) ? "'" + cell : cell }

    /// `cell` without the apostrophe that ``guarded(_:)`` has added, if there is one.
    public static func unguarded(_ cell: String) -> String {
        cell.utf8.first == .apostrophe && isFormula(cell) ? String(cell.dropFirst()) : cell
    }

    private static func isFormula(_ cell: String) -> Bool {
        guard let first = cell.utf8.first(where: { $0 != .apostrophe }) else { return false }
        return "=+-@\t\r".utf8.contains(first)
    }
}

extension CSV {
    /// Reads records from octets that arrive in pieces. It keeps at most one record in memory.
    public struct Reader: Sendable {
        /// The octets of the record that is being read, with all line ends except the last.
        private var pending: [UInt8] = []
        /// The line that `pending` begins on.
        private var start = 1
        /// The line that is being read.
        private var line = 1
        private var isAtBeginning = true
        /// Whether the rest of this line is skipped.
        private var skips = false
        /// Whether the rest of the file can't be read, because a quote was not closed.
        private var isLost = false

        public init() {}

        /// A record that was read: the line where the record begins, counted from 1, and its cells or why they can't be
        /// read.
        public typealias Found = (line: Int, record: Result<[String], Failure>)

        /// A fault, thrown while a record is read.
        public struct Failure: Error, Hashable, Sendable {
            /// What is wrong with the record.
            public var fault: Fault
            public init(_ fault: Fault) { self.fault = fault }
        }

        /// Reads the next piece. Passes each record to `tell`, and a `Failure` for each record that can't be read.
        /// Skips blank lines.
        public mutating func read(_ octets: ArraySlice<UInt8>, _ tell: (Found) throws -> Void) rethrows {
            var rest = octets
            while !rest.isEmpty, !isLost {
                let end = rest.firstIndex(of: .lf)
                let piece = rest[..<(end ?? rest.endIndex)]
                if !skips { try take(piece, tell) }
                guard let end else { return }
                rest = rest[(end + 1)...]
                try endLine(tell)
            }
        }

        /// Reads the text after the last line end.
        public mutating func finish(_ tell: (Found) throws -> Void) rethrows {
            guard !isLost, !skips, !pending.isEmpty else { return }
            try parse(isEnd: true, tell)
        }

        private mutating func take(_ piece: ArraySlice<UInt8>, _ tell: (Found) throws -> Void) rethrows {
            guard pending.count + piece.count <= longestRecord else {
                // A record has several lines only if one of its quotes is open.
                if line > start {
                    isLost = true
                    return try tell((start, .failure(Failure(.openQuote))))
                }
                skips = true
                pending.removeAll(keepingCapacity: true)
                return try tell((line, .failure(Failure(.tooLong))))
            }
            pending.append(contentsOf: piece)
        }

        private mutating func endLine(_ tell: (Found) throws -> Void) rethrows {
            guard !isLost else { return }
            if !skips { try parse(isEnd: false, tell) }
            skips = false
            line += 1
            if pending.isEmpty { start = line }
        }

        /// Passes on the record in `pending`, unless it continues on the next line.
        private mutating func parse(isEnd: Bool, _ tell: (Found) throws -> Void) rethrows {
            if isAtBeginning {
                isAtBeginning = false
                // Spreadsheets begin a file with a byte order mark.
                if pending.starts(with: [0xEF, 0xBB, 0xBF]) { pending.removeFirst(3) }
            }
            var record = pending[...]
            if record.last == .cr { record.removeLast() }
            if record.allSatisfy({ $0 == .blank || $0 == .tab }) {
                return pending.removeAll(keepingCapacity: true)
            }
            let result = Reader.cells(record)
            if result == .failure(Failure(.openQuote)) {
                isLost = isEnd
                // The quote is open, so the line end is a part of the cell.
                guard isEnd else { return pending.append(.lf) }
            }
            try tell((start, result))
            pending.removeAll(keepingCapacity: true)
        }

        private static func cells(_ record: ArraySlice<UInt8>) -> Result<[String], Failure> {
            var cells: [String] = []
            var rest = record
            while true {
                guard cells.count < mostCells else { return .failure(Failure(.tooManyCells)) }
                let octets: [UInt8]
                switch cell(&rest) {
                case .success(let read): octets = read
                case .failure(let failure): return .failure(failure)
                }
                guard let cell = String(validating: octets, as: UTF8.self) else {
                    return .failure(Failure(.notUTF8))
                }
                cells.append(cell)
                guard rest.popFirst() != nil else { return .success(cells) }
            }
        }

        /// Removes the next cell from `rest` and returns it. The comma after the cell stays in `rest`.
        private static func cell(_ rest: inout ArraySlice<UInt8>) -> Result<[UInt8], Failure> {
            let isBlank = { (octet: UInt8) in octet == .blank || octet == .tab }
            rest = rest.drop(while: isBlank)
            guard rest.first == .quote else {
                var cell = rest.prefix { $0 != .comma }
                rest = rest[cell.endIndex...]
                while let last = cell.last, isBlank(last) { cell.removeLast() }
                return cell.contains(.quote) ? .failure(Failure(.quoteInside)) : .success(Array(cell))
            }
            rest.removeFirst()
            var cell: [UInt8] = []
            while let end = rest.firstIndex(of: .quote) {
                cell += rest[..<end]
                rest = rest[(end + 1)...]
                guard rest.first == .quote else {
                    rest = rest.drop(while: isBlank)
                    guard rest.isEmpty || rest.first == .comma else {
                        return .failure(Failure(.textBehindQuote))
                    }
                    return .success(cell)
                }
                cell.append(.quote)
                rest.removeFirst()
            }
            return .failure(Failure(.openQuote))
        }
    }
}

extension UInt8 {
    fileprivate static let quote = UInt8(ascii: "\"")
    fileprivate static let comma = UInt8(ascii: ",")
    fileprivate static let apostrophe = UInt8(ascii: "'")
    fileprivate static let blank = UInt8(ascii: " ")
    fileprivate static let tab = UInt8(ascii: "\t")
    fileprivate static let lf: UInt8 = 0x0A
    fileprivate static let cr: UInt8 = 0x0D
}
