import FuzzSupport

@testable import Resolver

extension Property {
    /// For any answer of a DNS server, the records that are read have a limit, and names have only characters of names.
    /// A question in upper case gives the same records as a question in lower case.
    ///
    /// The input is the answer to a question about a.example.com.
    public static let dns = Property("dns") { input in
        for type in DNSRecordType.allCases {
            let found = read(type, "a.example.com", input)
            try require(found == read(type, "A.EXAMPLE.COM", input), "case matters: \(shown(input))")
            try require((found ?? []).count <= DNSMessage.mostRecords, "too many records: \(shown(input))")
            for data in found ?? [] {
                switch (type, data) {
                case (.cname, .cname(let name)), (.mx, .mx(_, let name)): try check(name, input)
                case (.txt, .txt(let text)):
                    // An octet that is not UTF-8 becomes U+FFFD, which has three octets.
                    try require(text.utf8.count <= 3 * input.count, "too long: \(shown(input))")
                default: throw Violation("a record of another type: \(shown(input))")
                }
            }
        }
    }

    private static func read(_ type: DNSRecordType, _ name: String, _ input: [UInt8]) -> [DNSData]? {
        try? DNSMessage.records(type, of: name, in: input)
    }

    private static func check(_ name: String, _ input: [UInt8]) throws {
        // Each octet is written with at most four characters.
        try require(name.utf8.count <= 4 * 255, "a name of \(name.utf8.count) octets: \(shown(input))")
        try require(
            name.unicodeScalars.allSatisfy { scalar in
                switch scalar {
                case "a"..."z", "0"..."9", "-", "_", ".", "\\": true
                default: false
                }
            }, "a name with other characters: \(shown(input))")
    }
}
