import Hashing
import StrictJSON

/// Distinguishes a repeated request from a different one with the same idempotency key.
struct RequestIdempotency: Hashable, Sendable {
    var key: IdempotencyKey
    /// The digest of the document without its idempotency key: 16 octets. See ``JSON/digest(leavingOut:)``.
    var digest: [UInt8]
}

extension JSON {
    /// The first 16 octets of a SHA-256 of the value. Two documents with the same meaning have the same digest: white
    /// space, escapes and the order of members make no difference, but the notation of a number does. A member that is
    /// null counts as missing.
    ///
    /// The value is hashed piece by piece as it is in memory, without a copy.
    ///
    /// - Parameter name: a member of the outermost object that is ignored.
    func digest(leavingOut name: String? = nil) -> [UInt8] {
        var hash = DigestWriter()
        hash.add(self, leavingOut: name)
        return hash.finished
    }
}

/// Feeds a hash function one form of each value: a letter for its kind, its length, and its octets.
private struct DigestWriter {
    private var hash = SHA256()

    private static let length = 16

    mutating func add(_ value: JSON, leavingOut name: String? = nil) {
        switch value {
        case .null: add("n", 0)
        case .bool(let value): add("b", value ? 1 : 0)
        case .number(let number): add("d", Array(number.text.utf8)[...])
        case .string(let string): add("s", string.utf8)
        case .array(let elements):
            add("a", elements.count)
            for element in elements { add(element) }
        case .object(let object):
            var members = object.members.filter { $0.value != .null }
            if let name { members.removeAll { $0.name.utf8.elementsEqual(name.utf8) } }
            members.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
            add("o", members.count)
            for member in members {
                add("s", member.name.utf8)
                add(member.value)
            }
        }
    }

    private mutating func add(_ kind: Unicode.Scalar, _ count: Int) {
        hash.update(CollectionOfOne(UInt8(ascii: kind)))
        withUnsafeBytes(of: UInt64(count).littleEndian) { hash.update($0) }
    }

    private mutating func add(_ kind: Unicode.Scalar, _ octets: ArraySlice<UInt8>) {
        add(kind, octets.count)
        octets.withUnsafeBytes { hash.update($0) }
    }

    var finished: [UInt8] { Array(hash.digest().prefix(DigestWriter.length)) }
}
