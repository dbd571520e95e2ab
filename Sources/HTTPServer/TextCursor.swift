import Foundation

/// A cursor that contains the text after which the next page begins.
enum TextCursor {
    /// In base64 for URLs (RFC 4648 section 5): texts contain characters that have a meaning in a query.
    static func encoded(_ text: String) -> String {
        // The full stop ensures that no text gives an empty cursor.
        Data((mark + text).utf8).base64EncodedString()
            .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
    }

    /// Nil for text that is not a cursor.
    static func text(_ cursor: String) -> String? {
        guard cursor.utf8.count <= longest else { return nil }
        let padded =
            cursor.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
            + String(repeating: "=", count: (4 - cursor.utf8.count % 4) % 4)
        guard let octets = Data(base64Encoded: padded), let text = String(validating: octets, as: UTF8.self),
            text.utf8.first == mark.utf8.first
        else { return nil }
        return String(text.unicodeScalars.dropFirst())
    }

    private static let mark = "."
    static let longest = 2000
}
