/// The columns of a file of suppressions, in the order in which an export writes them.
public enum SuppressionColumn: String, CaseIterable, Sendable, Hashable {
    case address, environment, reason
    case createdAt = "created_at"
    case message, note

    /// The column that the first line of a file names; nil for a column that is ignored.
    init?(heading: String) {
        let plain = heading.lowercased().filter { $0 != "_" && $0 != "-" && $0 != " " }
        switch plain {
        case "address", "email", "emailaddress", "recipient": self = .address
        case "createdat", "created": self = .createdAt
        case "messageid": self = .message
        default: self.init(rawValue: plain)
        }
    }
}

extension Suppression {
    /// The first line of an export.
    public static let csvHeading = CSV.line(SuppressionColumn.allCases.map(\.rawValue))

    /// A line of an export.
    public var csvLine: String {
        CSV.line([
            address, environment.rawValue, reason.rawValue, createdAt.rfc3339, message?.description ?? "", note ?? "",
        ])
    }
}

/// Reads the suppressions in a file, piece by piece. It keeps at most one line in memory.
///
/// The first line may name the columns, in any order. Columns with other names are ignored. Without such a line the
/// columns are those of ``SuppressionColumn`` in their order, and a line may leave out the last ones, so a plain list
/// of addresses is a valid file. For a value that is missing or empty, ``Defaults`` apply.
public struct SuppressionFile: Sendable {
    /// The values that apply if a line does not have its own.
    public struct Defaults: Sendable {
        /// The environment of a line that names none.
        public var environment: Environment
        /// The reason of a line that names none.
        public var reason: SuppressionReason
        /// The time of a line that has no `created_at`.
        public var createdAt: Timestamp

        public init(environment: Environment, reason: SuppressionReason, createdAt: Timestamp) {
            self.environment = environment
            self.reason = reason
            self.createdAt = createdAt
        }
    }

    /// A line with a mistake.
    public struct Mistake: Hashable, Sendable {
        /// The line, counted from 1.
        public var line: Int
        /// What is wrong with the line: a sentence without its full stop. It repeats no text of the file.
        public var explanation: String
        /// Whether the rest of the file can't be read.
        public var endsReading: Bool

        public init(line: Int, explanation: String, endsReading: Bool = false) {
            self.line = line
            self.explanation = explanation
            self.endsReading = endsReading
        }
    }

    /// A mistake in a line's content: a sentence without its full stop.
    public struct LineMistake: Error, Hashable, Sendable {
        /// What is wrong with the line: a sentence without its full stop.
        public var explanation: String
        public init(_ explanation: String) { self.explanation = explanation }
    }

    /// The result of reading one line.
    public enum Line: Hashable, Sendable {
        case entry(Suppression)
        case mistake(Mistake)
    }

    /// The names of columns that are ignored.
    public private(set) var passedOver: [String] = []

    private let defaults: Defaults
    private let canonical: @Sendable (String) -> Result<String, LineMistake>
    private var reader = CSV.Reader()
    /// The columns of the file, in order; nil before the first record. An element is nil for a column that is ignored.
    private var columns: [SuppressionColumn?]?
    private var hasHeading = false
    private var isEnded = false

    /// - Parameter canonical: converts an address into the form that a message's recipients have.
    public init(
        _ defaults: Defaults, canonical: @escaping @Sendable (String) -> Result<String, LineMistake>
    ) {
        self.defaults = defaults
        self.canonical = canonical
    }

    /// Reads the next piece. Passes each line's entry or mistake to `tell`.
    public mutating func read(_ octets: ArraySlice<UInt8>, _ tell: (Line) throws -> Void) rethrows {
        var reader = reader
        try reader.read(octets) { try take($0, tell) }
        self.reader = reader
    }

    /// Reads the last line if no line end follows it.
    public mutating func finish(_ tell: (Line) throws -> Void) rethrows {
        var reader = reader
        try reader.finish { try take($0, tell) }
        self.reader = reader
    }

    private mutating func take(_ found: CSV.Reader.Found, _ tell: (Line) throws -> Void) rethrows {
        guard !isEnded else { return }
        func wrong(_ explanation: String, endsReading: Bool = false) throws {
            isEnded = endsReading
            try tell(.mistake(Mistake(line: found.line, explanation: explanation, endsReading: endsReading)))
        }
        let cells: [String]
        switch found.record {
        case .success(let read): cells = read
        case .failure(let failure):
            return try wrong(failure.fault.explanation, endsReading: failure.fault == .openQuote)
        }
        guard let columns else {
            if let mistake = readHeading(cells) { return try wrong(mistake, endsReading: true) }
            if hasHeading { return }
            return try take(found, tell)
        }
        guard cells.count <= columns.count else {
            return try wrong(
                hasHeading
                    ? "the line has \(cells.count) cells, but the first line names \(columns.count)"
                    : "the line has \(cells.count) cells; without a first line that names the columns they are "
                        + SuppressionColumn.allCases.map(\.rawValue).joined(separator: ", "))
        }
        switch entry(zip(columns, cells)) {
        case .success(let entry): try tell(.entry(entry))
        case .failure(let mistake): try wrong(mistake.explanation)
        }
    }

    // MARK: The first line

    /// Sets the columns by the first line. Returns what is wrong with this line; nil if nothing is.
    private mutating func readHeading(_ cells: [String]) -> String? {
        let named = cells.map { SuppressionColumn(heading: CSV.unguarded($0)) }
        if cells.count == 1, let cell = cells.first, !cell.contains("@"),
            cell.contains(where: { $0 == ";" || $0 == "\t" })
        {
            return
                "the columns are separated by \(cell.contains(";") ? "semicolons" : "tabs"); save the file with commas"
        }
        guard named.contains(.address), !cells.contains(where: { $0.contains("@") }) else {
            columns = SuppressionColumn.allCases
            return nil
        }
        for column in SuppressionColumn.allCases where named.count(where: { $0 == column }) > 1 {
            return "two columns are named \(column.rawValue); give each name once"
        }
        columns = named
        hasHeading = true
        passedOver = zip(named, cells).filter { $0.0 == nil }.map(\.1)
        return nil
    }

    // MARK: A line

    private func entry(
        _ cells: some Sequence<(SuppressionColumn?, String)>
    ) -> Result<Suppression, LineMistake> {
        var entry = Suppression(
            environment: defaults.environment, address: "", reason: defaults.reason, createdAt: defaults.createdAt)
        var address = ""
        for (column, cell) in cells where !cell.isEmpty {
            let text = CSV.unguarded(cell)
            switch column {
            case nil: continue
            case .address: address = text
            case .environment:
                guard let environment = Environment(rawValue: text.lowercased()) else {
                    return .failure(LineMistake("the environment must be live or test"))
                }
                entry.environment = environment
            case .reason:
                // SES's own list uses BOUNCE and COMPLAINT.
                let word = text.lowercased() == "bounce" ? SuppressionReason.hardBounce.rawValue : text.lowercased()
                guard let reason = SuppressionReason(rawValue: word) else {
                    return .failure(
                        LineMistake(
                            "the reason must be \(SuppressionReason.allCases.map(\.rawValue).joined(separator: ", "))"))
                }
                entry.reason = reason
            case .createdAt:
                guard let time = Timestamp(rfc3339: text.utf8) else {
                    return .failure(
                        LineMistake("created_at must be a time with its zone, such as 2026-12-01T09:00:00Z"))
                }
                entry.createdAt = time
            case .message:
                guard let message = MessageID(text) else {
                    return .failure(LineMistake("the message must be a message's id, such as 06f1c4k9x2b7e"))
                }
                entry.message = message
            case .note: entry.note = text
            }
        }
        guard !address.isEmpty else { return .failure(LineMistake("the address is missing")) }
        return canonical(address).map { address in
            // The initialiser puts the address into its normal form and shortens a long note.
            Suppression(
                environment: entry.environment, address: address, reason: entry.reason, createdAt: entry.createdAt,
                message: entry.message, note: entry.note)
        }
    }
}
