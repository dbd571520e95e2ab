import Foundation

/// A cursor that says behind which text the next page begins.
enum TextCursor {
    /// In base64 for URLs (RFC 4648 section 5): texts hold what a query gives a meaning to.
    static func encoded(_ text: String) -> String {
        // The full stop is there so that no text makes an empty cursor.
        Data((mark + text).utf8).base64EncodedString()
            .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
    }

    /// Nil for what is no cursor.
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
