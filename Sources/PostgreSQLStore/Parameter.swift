import RelayCore

/// The types of parameters and columns, by their ids in PostgreSQL's catalogue (`pg_type.oid`).
enum ColumnType {
    static let boolean: UInt32 = 16
    static let bytes: UInt32 = 17
    static let integer: UInt32 = 20
    static let shortInteger: UInt32 = 21
    static let mediumInteger: UInt32 = 23
    static let text: UInt32 = 25
    static let real: UInt32 = 701
    static let name: UInt32 = 19
    static let variableText: UInt32 = 1043
    static let words: UInt32 = 3614
}

/// A parameter of a statement, in PostgreSQL's binary format.
protocol ParameterValue: Sendable {
    static var type: UInt32 { get }
    /// The type of an array of such values.
    static var arrayType: UInt32 { get }
    var isNull: Bool { get }
    /// An estimate of how many octets ``encode(into:)`` adds. Space is reserved for them, so that a large value is not
    /// copied while its buffer grows.
    var size: Int { get }
    func encode(into buffer: inout [UInt8])
}

extension ParameterValue {
    var isNull: Bool { false }
    var size: Int { 8 }
}

extension Int64: ParameterValue {
    static var type: UInt32 { ColumnType.integer }
    static var arrayType: UInt32 { 1016 }
    func encode(into buffer: inout [UInt8]) { buffer.append(bigEndian: UInt64(bitPattern: self)) }
}

extension Int: ParameterValue {
    static var type: UInt32 { Int64.type }
    static var arrayType: UInt32 { Int64.arrayType }
    func encode(into buffer: inout [UInt8]) { Int64(self).encode(into: &buffer) }
}

extension Double: ParameterValue {
    static var type: UInt32 { ColumnType.real }
    static var arrayType: UInt32 { 1022 }
    func encode(into buffer: inout [UInt8]) { buffer.append(bigEndian: bitPattern) }
}

extension Bool: ParameterValue {
    static var type: UInt32 { ColumnType.boolean }
    static var arrayType: UInt32 { 1000 }
    func encode(into buffer: inout [UInt8]) { buffer.append(self ? 1 : 0) }
}

extension String: ParameterValue {
    static var type: UInt32 { ColumnType.text }
    static var arrayType: UInt32 { 1009 }
    var size: Int { utf8.count }

    /// PostgreSQL's texts can't contain U+0000, but a header field can. So U+0000 becomes U+FFFD.
    func encode(into buffer: inout [UInt8]) {
        if utf8.contains(0) {
            for octet in utf8 {
                if octet == 0 { buffer += [0xEF, 0xBF, 0xBD] } else { buffer.append(octet) }
            }
        } else {
            buffer += utf8
        }
    }
}

/// Octets as a value (`bytea`).
struct Bytes: ParameterValue {
    var octets: [UInt8]

    init(_ octets: [UInt8]) { self.octets = octets }

    static var type: UInt32 { ColumnType.bytes }
    static var arrayType: UInt32 { 1001 }
    var size: Int { octets.count }
    func encode(into buffer: inout [UInt8]) { buffer += octets }
}

/// Milliseconds since 1970 in UTC, like all times in the tables.
extension Timestamp: ParameterValue {
    static var type: UInt32 { Int64.type }
    static var arrayType: UInt32 { Int64.arrayType }
    func encode(into buffer: inout [UInt8]) { milliseconds.encode(into: &buffer) }
}

extension Optional: ParameterValue where Wrapped: ParameterValue {
    static var type: UInt32 { Wrapped.type }
    static var arrayType: UInt32 { Wrapped.arrayType }
    var isNull: Bool { self?.isNull ?? true }
    var size: Int { self?.size ?? 0 }
    func encode(into buffer: inout [UInt8]) { self?.encode(into: &buffer) }
}

/// An array of one dimension (see `array_send` in PostgreSQL's sources: dimensions, nulls, type, length, lower bound,
/// elements).
extension Array: ParameterValue where Element: ParameterValue {
    static var type: UInt32 { Element.arrayType }
    /// There are no arrays of arrays.
    static var arrayType: UInt32 { Element.arrayType }
    var size: Int { reduce(20) { $0 + 4 + $1.size } }

    func encode(into buffer: inout [UInt8]) {
        let hasNulls = contains { $0.isNull }
        buffer.append(bigEndian: UInt32(isEmpty ? 0 : 1))
        buffer.append(bigEndian: UInt32(hasNulls ? 1 : 0))
        buffer.append(bigEndian: Element.type)
        guard !isEmpty else { return }
        buffer.append(bigEndian: UInt32(count))
        buffer.append(bigEndian: UInt32(1))
        for element in self {
            guard !element.isNull else {
                buffer.append(bigEndian: UInt32.max)
                continue
            }
            let start = buffer.count
            buffer.append(bigEndian: UInt32(0))
            element.encode(into: &buffer)
            let length = UInt32(buffer.count - start - 4)
            for octet in 0..<4 { buffer[start + octet] = UInt8(truncatingIfNeeded: length >> (24 - 8 * octet)) }
        }
    }
}

extension [UInt8] {
    fileprivate mutating func append(bigEndian value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }
}
