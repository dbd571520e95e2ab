/// The header section of the message that a report is about (RFC 6522 section 4, text/rfc822-headers).
public struct OriginalHeader: Hashable, Sendable {
    /// Its lines with CRLF, without the empty line at the end.
    public let octets: [UInt8]
    /// The message's own id, `<left@right>`, to which the report refers. Nil when the message has none, or one that
    /// can't be written.
    public let messageID: String?

    /// The number of octets of a message that are read to find the header section. A longer header section is cut after
    /// a line.
    public static let longest = 64 * 1024

    /// - Parameter beginning: the first ``longest`` octets of the message, or the whole message if it is shorter.
    public init(beginning: [UInt8]) {
        var end = 0
        var id: String?
        var start = 0
        while start < beginning.count, start < OriginalHeader.longest,
            let feed = beginning[start...].firstIndex(of: 0x0A), feed < OriginalHeader.longest
        {
            let isEmpty = feed == start || (feed == start + 1 && beginning[start] == 0x0D)
            if isEmpty { break }
            if id == nil { id = OriginalHeader.messageID(in: beginning[start..<feed]) }
            end = feed + 1
            start = end
        }
        octets = Array(beginning[..<end])
        messageID = id
    }

    /// The id in a line that is the whole Message-ID field. Nil for a field that is folded or malformed.
    private static func messageID(in line: ArraySlice<UInt8>) -> String? {
        let name = "message-id:"
        guard line.count > name.utf8.count, line.count <= longestMessageID,
            zip(line, name.utf8).allSatisfy({ ($0 | 0x20) == ($1 | 0x20) })
        else { return nil }
        var value = line.dropFirst(name.utf8.count)
        while let first = value.first, first == 0x20 || first == 0x09 { value.removeFirst() }
        while let last = value.last, last == 0x20 || last == 0x09 || last == 0x0D { value.removeLast() }
        guard value.first == UInt8(ascii: "<"), value.last == UInt8(ascii: ">"), value.contains(UInt8(ascii: "@")),
            value.dropFirst().dropLast().allSatisfy({
                (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">")
            })
        else { return nil }
        return String(decoding: value, as: UTF8.self)
    }

    private static let longestMessageID = 250
}
