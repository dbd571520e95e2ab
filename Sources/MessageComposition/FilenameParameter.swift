import InternetMessage

/// Writes the parameter `filename` of Content-Disposition (RFC 2183 section 2.3) as words. The field can be folded
/// between two words.
///
/// A name in ASCII is written in quotes. Other names are written by RFC 2231, and so are names that readers would
/// decode or unescape in different ways. Such a name is written only once, without a second form for old readers.
/// Encoded words are not allowed in a parameter (RFC 2047 section 5 rule 3), and JavaMail, Python and others differ
/// about which of two forms applies. With two forms, SES could therefore check a different name than the one that the
/// recipient sees.
enum FilenameParameter {
    /// The most characters of a value in one piece. With the parameter's name, the line stays below 76.
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

    /// The name in percent-encoding, split between characters into at most 10 pieces.
    ///
    /// Ruby's mail library sorts the pieces by their numbers as text, so piece 10 would come before piece 2. Therefore
    /// the pieces of a long name are longer instead.
    private static func encodedPieces(_ name: String) -> [String] {
        let length = name.utf8.reduce(0) { $0 + (isPlain($1) ? 1 : 3) }
        // A piece may have up to 11 characters less than the maximum, because a character of four octets takes 12 and
        // is not split.
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

    /// The characters of attribute-char (RFC 2231 section 7) to which no reader gives another meaning.
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte.isAlphanumeric || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }
}
