/// Finds probable secrets in text that a person typed: an API key of this relay, even if mangled, a webhook's secret,
/// or an AWS credential.
///
/// Errors repeat what was typed, and people sometimes type a secret where a name or an id is expected. The functions
/// may withhold text that is not a secret. But they must not withhold what people need to find their mistake: words,
/// host names, paths and the relay's ids stay.
public enum LikelySecret {
    /// The text that replaces what was removed.
    static let mark = "…"

    /// Whether a part of `text` is probably a secret.
    public static func isIn(_ text: String) -> Bool { withheld(in: text) != text }

    /// `text` with each secret shortened to the part that may be known: `hk_live_` and the key's public id, the kind of
    /// the AWS key, or a URI without its password.
    public static func withheld(in text: String) -> String {
        let text = withoutPasswords(text)
        var result = ""
        var rest = text.unicodeScalars[...]
        while let first = rest.first {
            let run = rest.prefix { isTokenScalar($0) == isTokenScalar(first) }
            result += isTokenScalar(first) ? withheld(token: Array(run)) : String(run)
            rest = rest[run.endIndex...]
        }
        return result
    }

    // MARK: - URIs

    /// Removes passwords from `postgresql://user:password@host/name?password=…` and the like: the text between the
    /// first colon after `://` and the last `@`, and everything after `password=`.
    private static func withoutPasswords(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: ":")), text.contains("://") else { return text }
        var result = ""
        var rest = text[...]
        while let scheme = rest.firstRange(of: "://") {
            result += rest[..<scheme.upperBound]
            rest = rest[scheme.upperBound...]
            let uri = rest.prefix { !$0.isWhitespace && $0 != "'" && $0 != "\"" }
            rest = rest[uri.endIndex...]
            var kept = uri
            if let password = uri.firstRange(of: "password=") { kept = uri[..<password.upperBound] }
            if let colon = kept.firstIndex(of: ":"), let end = kept.lastIndex(of: "@"), colon < end {
                result += kept[...colon] + mark + kept[end...]
            } else {
                result += kept
            }
            if kept.endIndex != uri.endIndex { result += mark }
        }
        return result + rest
    }

    // MARK: - Tokens

    /// `token` with a secret in it shortened. A token is a run of letters, digits and the other characters that occur
    /// in API keys, AWS's secret keys and base64.
    private static func withheld(token: [Unicode.Scalar]) -> String {
        if let marker = endOfKeyMarker(in: token) {
            let secret = token[marker...]
            // Lists and pages show the marker with the public id, which is not secret.
            guard secret.count > APIKey.idLength else { return text(token[...]) }
            return text(token[..<marker]) + text(secret.prefix(APIKey.idLength)) + mark
        }
        if let marker = token.firstRange(of: Array(WebhookSecret.prefix.unicodeScalars)),
            marker.upperBound < token.count
        {
            return text(token[..<marker.upperBound]) + mark
        }
        // AWS's secret access keys have 40 characters of base64.
        if token.count == 40, isRandom(token[...]) { return mark }
        var result = ""
        var rest = token[...]
        while let first = rest.first {
            let part = rest.prefix { isSeparator($0) == isSeparator(first) }
            result += withheld(part: part)
            rest = rest[part.endIndex...]
        }
        return result
    }

    private static func withheld(part: ArraySlice<Unicode.Scalar>) -> String {
        // AWS's access key ids begin with one of these prefixes (IAM User Guide, "IAM identifiers", unique ID
        // prefixes).
        let beginning = text(part.prefix(4))
        if part.count >= 16, ["AKIA", "ASIA"].contains(beginning), part.allSatisfy({ isUpper($0) || isDigit($0) }) {
            return beginning + mark
        }
        return part.count >= 20 && isRandom(part) ? mark : text(part)
    }

    /// The index after `hk_live_` or `hk_test_`; nil if the token contains neither. The marker may be in upper or lower
    /// case and have any separators, because people retype keys.
    private static func endOfKeyMarker(in token: [Unicode.Scalar]) -> Int? {
        let folded = token.map { $0.properties.lowercaseMapping }
        for start in folded.indices.dropLast(5) where folded[start] == "h" && folded[start + 1] == "k" {
            var index = start + 2
            while index < folded.count, isSeparator(token[index]) { index += 1 }
            let word = folded[index...].prefix(4).joined()
            guard word == "live" || word == "test" else { continue }
            index += 4
            while index < folded.count, isSeparator(token[index]) { index += 1 }
            return index
        }
        return nil
    }

    /// Whether upper case, lower case and digits alternate more than in any word. In a secret, on average every other
    /// character is of a different kind from the one before it. In a word made of names and years, about one character
    /// in five is.
    private static func isRandom(_ part: ArraySlice<Unicode.Scalar>) -> Bool {
        let kinds = part.map { isDigit($0) ? 0 : isUpper($0) ? 1 : isSeparator($0) ? 2 : 3 }
        guard kinds.contains(0), kinds.contains(1), kinds.contains(3) else { return false }
        let changes = zip(kinds, kinds.dropFirst()).count { $0 != $1 }
        return changes * 4 >= kinds.count
    }

    private static func text(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        return String(view)
    }

    private static func isTokenScalar(_ scalar: Unicode.Scalar) -> Bool {
        isDigit(scalar) || isUpper(scalar) || "a"..."z" ~= scalar || isSeparator(scalar) || scalar == "+"
            || scalar == "="
    }

    /// The characters between the words of paths and names.
    private static func isSeparator(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "_" || scalar == "-" || scalar == "/"
    }

    private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { "0"..."9" ~= scalar }
    private static func isUpper(_ scalar: Unicode.Scalar) -> Bool { "A"..."Z" ~= scalar }
}
