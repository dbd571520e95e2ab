import InternetMessage

/// The rules for header fields that an application adds: which names are allowed, and which values.
enum HeaderFieldRule {
    /// The largest number of octets between two places where a line can be folded. With the longest name, the line then
    /// stays below 998.
    static let maximumStretch = 900

    /// Fields that come from other values of the email, or that the relay or later servers write.
    private static let reserved: Set<[UInt8]> = Set(
        [
            "from", "to", "cc", "bcc", "sender", "reply-to", "subject", "date", "message-id", "mime-version",
            "received",
            "return-path", "dkim-signature", "domainkey-signature", "authentication-results", "received-spf",
        ].map { Array($0.utf8) })

    /// For a header that is set by a field of the email: the name of that field.
    private static let replacements: [[UInt8]: String] = Dictionary(
        uniqueKeysWithValues: [
            "from": "from", "to": "to", "cc": "cc", "bcc": "bcc", "reply-to": "reply_to", "subject": "subject",
            "hiveku-tags": "tags", "hiveku-scheduled-at": "scheduled_at",
            "hiveku-idempotency-key": "idempotency_key",
        ].map { (Array($0.key.utf8), $0.value) })

    private static let reservedPrefixes = ["content-", "arc-", "resent-", "x-ses-", "hiveku-"].map { Array($0.utf8) }

    /// Fields whose syntax allows no encoded words (RFC 2369, RFC 3834, RFC 5322 section 3.6.4, RFC 8058).
    private static let structured: Set<[UInt8]> = Set(
        [
            "list-unsubscribe", "list-unsubscribe-post", "list-archive", "list-help", "list-owner", "list-post",
            "list-subscribe", "in-reply-to", "references", "auto-submitted", "precedence", "priority", "importance",
            "sensitivity", "x-priority", "disposition-notification-to", "return-receipt-to", "errors-to", "feedback-id",
        ].map { Array($0.utf8) })

    /// The defect of a name in lower case, or nil.
    static func fault(inName name: [UInt8]) -> String? {
        guard (1...Email.HeaderField.maximumNameLength).contains(name.count),
            name.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") })
        else {
            return
                "The name of a header must have 1 to \(Email.HeaderField.maximumNameLength) printable ASCII characters "
                + "without blank and colon"
        }
        guard !reserved.contains(name), !reservedPrefixes.contains(where: { name.starts(with: $0) }) else {
            guard let field = replacements[name] else { return "This header can't be set; leave it out" }
            return "This header can't be set; use the field \"\(field)\" of the email instead"
        }
        return nil
    }

    /// The defect of the value of the field with this name (in lower case), or nil.
    static func fault(inValue value: String, of name: [UInt8]) -> String? {
        if value.utf8.count > Email.HeaderField.maximumValueLength {
            return "The value of the header is longer than \(Email.HeaderField.maximumValueLength) octets; shorten it"
        }
        if value.holdsControl(allowsTab: true) {
            return "The value of the header holds a line end or another control character; leave it out"
        }
        guard value.isASCII else {
            return structured.contains(name)
                ? "The value of this header must be ASCII; write its URLs with %-escapes and its domains in their xn-- form"
                : nil
        }
        if value.utf8.count > maximumStretch, longestStretch(value) > maximumStretch {
            return
                "The value of the header has more than \(maximumStretch) characters without a single space between them; "
                + "a line can be folded only at such spaces"
        }
        return nil
    }

    /// The most octets between two places where a line can be folded. Such a place is a space between two octets that
    /// are not blanks.
    static func longestStretch(_ value: String) -> Int {
        let octets = Array(value.utf8)
        var longest = 0
        var start = 0
        for index in octets.indices where isFoldingPlace(octets[...], at: index) {
            longest = max(longest, index - start)
            start = index + 1
        }
        return max(longest, octets.count - start)
    }

    static func isFoldingPlace(_ octets: ArraySlice<UInt8>, at index: Int) -> Bool {
        octets[index] == .space && index > octets.startIndex && index + 1 < octets.endIndex
            && !octets[index - 1].isBlank && !octets[index + 1].isBlank
    }
}
