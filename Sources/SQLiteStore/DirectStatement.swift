import GRDB
import GRDBSQLite

/// A statement that runs for each message. It is bound and stepped through SQLite's own interface.
///
/// GRDB prepares and keeps it, but GRDB's costs for arguments (an array, a box and a copy for each value) are avoided.
/// Use it only within one database call, on the thread of that call.
struct DirectStatement {
    private let database: Database
    private let statement: Statement
    private var pointer: OpaquePointer { statement.sqliteStatement }

    init(_ database: Database, _ sql: String) throws {
        self.database = database
        statement = try database.cachedStatement(sql: sql)
    }

    // Parameters are numbered from 1. Binding fails only if there is no memory, or for a number that the statement does
    // not have. A parameter that was not bound is null, and every column that matters is NOT NULL.

    func bind(_ value: Int64, at index: CInt) { sqlite3_bind_int64(pointer, index, value) }

    func bind(_ value: Int64?, at index: CInt) {
        guard let value else {
            sqlite3_bind_null(pointer, index)
            return
        }
        bind(value, at: index)
    }

    func bind(_ value: String?, at index: CInt) {
        guard let value else {
            sqlite3_bind_null(pointer, index)
            return
        }
        sqlite3_bind_text(pointer, index, value, CInt(value.utf8.count), DirectStatement.copied)
    }

    func bind(_ value: [UInt8], at index: CInt) {
        value.withUnsafeBytes { bytes in
            _ = sqlite3_bind_blob(pointer, index, bytes.baseAddress, CInt(bytes.count), DirectStatement.copied)
        }
    }

    /// Runs `body` while `value` is bound. SQLite reads the bytes in place, without a copy.
    func binding<T>(borrowed value: [UInt8], at index: CInt, _ body: () throws -> T) rethrows -> T {
        try value.withUnsafeBytes { bytes in
            defer { sqlite3_bind_null(pointer, index) }
            if bytes.isEmpty {
                sqlite3_bind_zeroblob(pointer, index, 0)
            } else {
                sqlite3_bind_blob(pointer, index, bytes.baseAddress, CInt(bytes.count), nil)
            }
            return try body()
        }
    }

    /// Runs to its end a statement that returns no rows.
    func run() throws {
        defer { sqlite3_reset(pointer) }
        try step(expecting: SQLITE_DONE)
    }

    /// The first column of the first row as an integer; nil if there is no row.
    func firstInteger() throws -> Int64? { try first { $0.integer(0) } ?? nil }

    /// The first column of the first row as bytes; nil if there is no row, or if the column is null.
    func firstBytes() throws -> [UInt8]? { try first { $0.bytes(0) } ?? nil }

    /// The result of `body` for the first row; nil if there is no row.
    func first<T>(_ body: (DirectRow) throws -> T) throws -> T? {
        defer { sqlite3_reset(pointer) }
        return try next().map(body)
    }

    /// The results of `body` for all rows.
    func rows<T>(_ body: (DirectRow) throws -> T) throws -> [T] {
        defer { sqlite3_reset(pointer) }
        var found: [T] = []
        while let row = try next() { found.append(try body(row)) }
        return found
    }

    private func next() throws -> DirectRow? {
        let code = sqlite3_step(pointer)
        if code == SQLITE_DONE { return nil }
        guard code == SQLITE_ROW else { throw failure(code) }
        return DirectRow(statement: pointer)
    }

    private func step(expecting expected: CInt) throws {
        let code = sqlite3_step(pointer)
        guard code == expected else { throw failure(code) }
    }

    private func failure(_ code: CInt) -> DatabaseError {
        DatabaseError(resultCode: ResultCode(rawValue: code), message: database.lastErrorMessage)
    }

    /// SQLITE_TRANSIENT, a macro that Swift can't import: a destructor with the address -1.
    private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
}

/// The current row of a statement. Columns are numbered from 0: a look-up by name would cost more than the value.
struct DirectRow {
    fileprivate let statement: OpaquePointer

    /// Nil for a null.
    func integer(_ column: CInt) -> Int64? { isNull(column) ? nil : sqlite3_column_int64(statement, column) }

    func real(_ column: CInt) -> Double? { isNull(column) ? nil : sqlite3_column_double(statement, column) }

    func text(_ column: CInt) -> String? {
        // First the text, then the count, because the conversion to text determines the count.
        guard let start = sqlite3_column_text(statement, column) else { return nil }
        let count = Int(sqlite3_column_bytes(statement, column))
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    func bytes(_ column: CInt) -> [UInt8]? {
        if isNull(column) { return nil }
        // First the bytes, then the count, as in `text(_:)`.
        let start = sqlite3_column_blob(statement, column)
        return [UInt8](UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column))))
    }

    private func isNull(_ column: CInt) -> Bool { sqlite3_column_type(statement, column) == SQLITE_NULL }
}
