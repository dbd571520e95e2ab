/// The tags of a message in one column: by line feeds, which no tag holds. Null for none.
enum TagList {
    static func text(_ tags: [String]) -> String? { tags.isEmpty ? nil : tags.joined(separator: "\n") }

    static func tags(_ text: String?) -> [String] {
        // By octets: CR and LF are one character to Swift.
        (text ?? "").utf8.split(separator: 0x0A).map { String(decoding: Array($0), as: UTF8.self) }
    }
}

/// Lists of addresses in one column: by line feeds, which no address holds.
enum RecipientList {
    static func text(_ recipients: some Sequence<String>) -> String { recipients.joined(separator: "\n") }
    static func recipients(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }
}
