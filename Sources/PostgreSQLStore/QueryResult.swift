import CPostgreSQL
import RelayCore

/// The result of a statement: its rows, and how many rows it changed.
final class QueryResult {
    private let pointer: OpaquePointer
    let count: Int

    /// Takes ownership of the result, and frees it in the end.
    init(_ pointer: OpaquePointer) {
        self.pointer = pointer
        count = Int(pq_rows(pointer))
    }

    deinit { pq_clear(pointer) }

    /// The number of rows that the statement inserted, changed, deleted or selected.
    var affected: Int { Int(String(cString: pq_rows_affected(pointer))) ?? 0 }

    subscript(_ index: Int) -> ResultRow { ResultRow(result: self, pointer: pointer, index: CInt(index)) }

    var first: ResultRow? { count > 0 ? self[0] : nil }

    /// The results of `body` for all rows.
    func map<T>(_ body: (ResultRow) throws -> T) rethrows -> [T] {
        var made: [T] = []
        made.reserveCapacity(count)
        for index in 0..<count { made.append(try body(self[index])) }
        return made
    }
}

/// A row of a result. Columns are numbered from 0. Its functions return nil for a null, and for a value of a different
/// type from the requested one, which is a fault of the statement.
struct ResultRow {
    /// Keeps the row's memory alive.
    private let result: QueryResult
    private let pointer: OpaquePointer
    private let index: CInt

    fileprivate init(result: QueryResult, pointer: OpaquePointer, index: CInt) {
        self.result = result
        self.pointer = pointer
        self.index = index
    }

    func integer(_ column: CInt) -> Int64? {
        guard let octets = octets(column) else { return nil }
        switch pq_type(pointer, column) {
        case ColumnType.integer: return Int64(bitPattern: number(octets))
        case ColumnType.mediumInteger: return Int64(Int32(truncatingIfNeeded: number(octets)))
        case ColumnType.shortInteger: return Int64(Int16(truncatingIfNeeded: number(octets)))
        default:
            assertionFailure("column \(column) has the type \(pq_type(pointer, column))")
            return nil
        }
    }

    func boolean(_ column: CInt) -> Bool? {
        guard let octets = octets(column) else { return nil }
        assert(pq_type(pointer, column) == ColumnType.boolean)
        return octets.first == 1
    }

    func real(_ column: CInt) -> Double? {
        guard let octets = octets(column) else { return nil }
        assert(pq_type(pointer, column) == ColumnType.real)
        return Double(bitPattern: number(octets))
    }

    func text(_ column: CInt) -> String? {
        octets(column).map { String(decoding: $0, as: UTF8.self) }
    }

    func bytes(_ column: CInt) -> [UInt8]? { octets(column).map { [UInt8]($0) } }

    func timestamp(_ column: CInt) -> Timestamp? { integer(column).map { Timestamp(milliseconds: $0) } }

    private func octets(_ column: CInt) -> UnsafeRawBufferPointer? {
        guard pq_is_null(pointer, index, column) == 0, let start = pq_value(pointer, index, column) else { return nil }
        return UnsafeRawBufferPointer(start: start, count: Int(pq_length(pointer, index, column)))
    }

    private func number(_ octets: UnsafeRawBufferPointer) -> UInt64 {
        octets.reduce(0) { $0 << 8 | UInt64($1) }
    }
}
