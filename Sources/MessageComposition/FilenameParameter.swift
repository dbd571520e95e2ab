import InternetMessage

/// The parameter `filename` of Content-Disposition (RFC 2183 section 2.3) in the words of a field.
///
/// A name in ASCII stands in quotes. Any other name is written by RFC 2231, and so is one that readers would decode or unescape in
/// different ways. Such a name stands there once only, not in a second form for old readers beside it: encoded words have no place in
/// a parameter (RFC 2047 section 5 rule 3), and JavaMail, Python and others differ about which of two forms counts, so that SES
/// could check another name than the recipient sees.
enum FilenameParameter {
    /// Characters of a value in one piece. With the name of the parameter the line stays below 76.
    private static let preferredPiece = 55

    static func words(_ name: String) -> [String] {
        let isPlain = name.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F && $0 != .quote && $0 != .backslash }
        if isPlain { return ["filename=\"\(name)\""] }
        let pieces = encodedPieces(name)
        if pieces.count == 1 { return ["filename*=utf-8''\(pieces[0])"] }
        return pieces.enumerated().map { index, piece in
            let end = index == pieces.count - 1 ? "" : ";"
            return "filename*\(index)*=\(index == 0 ? "utf-8''" : "")\(piece)\(end)"
        }
    }

    /// The name in percent-encoding, cut between characters into 10 pieces at most.
    ///
    /// Ruby's mail library sorts the pieces by their numbers as text, so that the piece 10 would stand before the piece 2. The
    /// pieces of a long name are longer instead.
    private static func encodedPieces(_ name: String) -> [String] {
        let length = name.utf8.reduce(0) { $0 + (isPlain($1) ? 1 : 3) }
        // A piece may lack up to 11 characters, since a character of four octets takes 12.
        let maximumPiece = max(preferredPiece, length / 9 + 12)
        var pieces: [String] = []
        var piece: [UInt8] = []
        for scalar in name.unicodeScalars {
            var encoded: [UInt8] = []
            for byte in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter {
                if isPlain(byte) {
                    encoded.append(byte)
                } else {
                    encoded += [UInt8(ascii: "%"), .hexDigit(byte >> 4), .hexDigit(byte & 15)]
                }
            }
            if piece.count + encoded.count > maximumPiece {
                pieces.append(String(decoding: piece, as: UTF8.self))
                piece = []
            }
            piece += encoded
        }
        return pieces + [String(decoding: piece, as: UTF8.self)]
    }

    /// Of the attribute-char of RFC 2231 section 7, those that no reader takes for something else.
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte.isAlphanumeric || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }
}
