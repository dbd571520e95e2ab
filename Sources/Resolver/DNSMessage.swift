/// The types of records that the relay asks for, with their numbers (RFC 1035 section 3.2.2).
package enum DNSRecordType: UInt16, CaseIterable, Hashable, Sendable {
    case cname = 5
    case mx = 15
    case txt = 16

    /// The name of the type in zone files.
    package var name: String {
        switch self {
        case .cname: "CNAME"
        case .mx: "MX"
        case .txt: "TXT"
        }
    }
}

/// The content of a record. Names are in lower case and without the final dot.
package enum DNSData: Hashable, Sendable {
    /// The name that the record points to (RFC 1035 section 3.3.1).
    case cname(String)
    /// The preference, 0 to 65,535, and the host (RFC 1035 section 3.3.9).
    case mx(preference: Int, String)
    /// The strings of the record, joined without spaces as SPF does (RFC 7208 section 3.3). Octets that are not UTF-8
    /// are replaced by U+FFFD.
    case txt(String)
}

/// Why a message is not a usable answer.
package struct DNSMessageError: Error, Hashable, Sendable {
    /// The rest of a sentence that begins with "the answer of DNS".
    package var reason: String
}

/// Reads answers of DNS (RFC 1035 section 4). Anyone may have written an answer. So every length is checked against the
/// end of the message, and a compressed name can't lead back to a place where it has been.
package struct DNSMessage: Sendable {
    private let octets: [UInt8]
    private var position = 0

    /// The largest number of records that are returned for a question. Further records are left out.
    package static let mostRecords = 64
    /// The largest number of aliases that are followed from the name in the question.
    package static let mostAliases = 8

    private init(_ octets: [UInt8]) { self.octets = octets }

    /// Reads the records of `type` at `name`. If the name is an alias (CNAME), the records at its target are read.
    ///
    /// - Returns: the records in the order of the message; none if the answer has none. The response code is not read.
    /// - Throws: ``DNSMessageError`` if `octets` are not a complete, well-formed answer, or the aliases are too many.
    package static func records(
        _ type: DNSRecordType, of name: String, in octets: [UInt8]
    ) throws(DNSMessageError) -> [DNSData] {
        var message = DNSMessage(octets)
        let answers = try message.answers()
        var owner = name.lowercased()
        for _ in 0...mostAliases {
            let own = answers.filter { $0.owner == owner }
            let found = own.filter { $0.type == type }.map(\.data)
            if !found.isEmpty { return Array(found.prefix(mostRecords)) }
            guard case .cname(let next)? = own.first(where: { $0.type == .cname })?.data else { return [] }
            owner = next
        }
        throw DNSMessageError(reason: "has too many aliases, or a loop of them")
    }

    private struct Record {
        var owner: String
        var type: DNSRecordType
        var data: DNSData
    }

    private mutating func answers() throws(DNSMessageError) -> [Record] {
        guard octets.count >= 12 else { throw .cutOff }
        // The bit QR is set in answers (RFC 1035 section 4.1.1).
        guard octets[2] & 0x80 != 0 else { throw DNSMessageError(reason: "is a question") }
        let questions = Int(octets[4]) << 8 | Int(octets[5])
        let answers = Int(octets[6]) << 8 | Int(octets[7])
        position = 12
        for _ in 0..<questions {
            _ = try name()
            try skip(4)
        }
        var records: [Record] = []
        for _ in 0..<answers {
            let owner = try name()
            let type = DNSRecordType(rawValue: UInt16(try number()))
            let isInternet = try number() == 1
            try skip(4)
            let length = try number()
            let end = position + length
            guard end <= octets.count else { throw .cutOff }
            if let type, isInternet, let data = try data(type, end: end) {
                records.append(Record(owner: owner, type: type, data: data))
            }
            position = end
        }
        return records
    }

    private mutating func data(_ type: DNSRecordType, end: Int) throws(DNSMessageError) -> DNSData? {
        let data: DNSData
        switch type {
        case .cname: data = .cname(try name())
        case .mx: data = .mx(preference: try number(), try name())
        case .txt:
            var text: [UInt8] = []
            while position < end {
                let length = Int(octets[position])
                guard position + 1 + length <= end else { throw .malformed }
                text += octets[position + 1..<position + 1 + length]
                position += 1 + length
            }
            return .txt(String(decoding: text, as: UTF8.self))
        }
        guard position == end else { throw .malformed }
        return data
    }

    private mutating func number() throws(DNSMessageError) -> Int {
        guard position + 2 <= octets.count else { throw .cutOff }
        defer { position += 2 }
        return Int(octets[position]) << 8 | Int(octets[position + 1])
    }

    private mutating func skip(_ count: Int) throws(DNSMessageError) {
        guard position + count <= octets.count else { throw .cutOff }
        position += count
    }

    /// Reads a name (RFC 1035 section 4.1.4) as text in lower case. An octet other than a letter, a digit, a hyphen and
    /// an underscore becomes a backslash and three digits (section 5.1). The root is the empty text.
    private mutating func name() throws(DNSMessageError) -> String {
        var text = ""
        // The octets of the name: each label with its length octet, and the length octet of the root.
        var length = 1
        var place = position
        var isBehindPointer = false
        // A pointer must lead to a place before itself and before the last pointer's target. So there can't be a loop.
        var bound = octets.count
        while true {
            guard place < octets.count else { throw .cutOff }
            let head = Int(octets[place])
            switch head >> 6 {
            case 0:
                place += 1
                guard head > 0 else {
                    if !isBehindPointer { position = place }
                    return text
                }
                guard place + head <= octets.count else { throw .cutOff }
                length += head + 1
                guard length <= 255 else { throw .malformed }
                if !text.isEmpty { text += "." }
                for octet in octets[place..<place + head] { DNSMessage.append(octet, to: &text) }
                place += head
            case 3:
                guard place + 1 < octets.count else { throw .cutOff }
                let target = (head & 0x3F) << 8 | Int(octets[place + 1])
                if !isBehindPointer { position = place + 2 }
                isBehindPointer = true
                bound = min(bound, place)
                guard target < bound else { throw DNSMessageError(reason: "has a compressed name that leads nowhere") }
                bound = target
                place = target
            default: throw .malformed
            }
        }
    }

    private static func append(_ octet: UInt8, to text: inout String) {
        switch octet {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): text.unicodeScalars.append(Unicode.Scalar(octet | 0x20))
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "_"):
            text.unicodeScalars.append(Unicode.Scalar(octet))
        default:
            let digits = String(octet)
            text += "\\" + String(repeating: "0", count: 3 - digits.count) + digits
        }
    }
}

extension DNSMessageError {
    fileprivate static let cutOff = DNSMessageError(reason: "is cut off")
    fileprivate static let malformed = DNSMessageError(reason: "is malformed")
}
