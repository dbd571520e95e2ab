import Foundation
import GRDB
import RelayCore

extension KeyDigest {
    var data: Data { Data(bytes) }
}

func bytes(_ data: Data?) -> [UInt8]? { data.map { [UInt8]($0) } }

extension IPAddress {
    var data: Data { Data(bytes) }
}

extension RepeatKey {
    init?(in database: Database) throws {
        guard let row = try Row.fetchOne(database, sql: "SELECT bytes, former_until FROM repeat_key"),
            let key = ContentHash.Key([UInt8](row["bytes"] as Data))
        else { return nil }
        self.init(key, formerUntil: (row["former_until"] as Int64?).map(Timestamp.init(milliseconds:)))
    }
}

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
