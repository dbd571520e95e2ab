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

/// Lists of addresses in one column: by line feeds, which no address holds.
enum RecipientList {
    static func text(_ recipients: some Sequence<String>) -> String { recipients.joined(separator: "\n") }
    static func recipients(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }
}
