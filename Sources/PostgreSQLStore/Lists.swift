/// The tags of a message in one column, separated by line feeds, which no tag contains. Null if there are none.
enum TagList {
    static func text(_ tags: [String]) -> String? { tags.isEmpty ? nil : tags.joined(separator: "\n") }

    static func tags(_ text: String?) -> [String] {
        // Split by octets: Swift treats CR and LF as one character.
        (text ?? "").utf8.split(separator: 0x0A).map { String(decoding: Array($0), as: UTF8.self) }
    }
}

/// Lists of addresses in one column, separated by line feeds, which no address contains.
enum RecipientList {
    static func text(_ recipients: some Sequence<String>) -> String { recipients.joined(separator: "\n") }
    static func recipients(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }
}
