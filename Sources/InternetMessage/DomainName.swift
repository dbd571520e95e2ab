/// A domain in the form in which domains are compared: lower-case ASCII (A-labels for internationalised names), with
/// labels of letters, digits and inner hyphens, and without a trailing dot (RFC 1035 section 2.3.1, RFC 5890 section
/// 2.3).
///
/// Underscores are refused, because they name services in DNS, never the domain of a mailbox (RFC 5321 section 4.1.2).
/// A last label that has only digits is refused too, because such a name is an IPv4 address without its brackets.
public struct DomainName: Hashable, Sendable, CustomStringConvertible {
    /// The domain, 1 to 253 octets.
    public let text: String

    public var description: String { text }

    /// Takes a domain as it is written in an address. It must have 1 or more labels of 1 to 63 letters, digits and
    /// inner hyphens, and at most 253 octets; otherwise the result is nil. A trailing dot is refused: if it were
    /// allowed, the same mailbox would have two spellings.
    public init?(ascii bytes: some Collection<UInt8>) {
        let count = bytes.count
        guard count >= 1, count <= Self.maximumLength else { return nil }
        var lowered: [UInt8] = []
        lowered.reserveCapacity(count)
        var labelLength = 0
        var labelIsNumeric = true
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "."):
                guard labelLength >= 1, lowered.last != UInt8(ascii: "-") else { return nil }
                labelLength = 0
                labelIsNumeric = true
                lowered.append(byte)
                continue
            case UInt8(ascii: "a")...UInt8(ascii: "z"):
                labelIsNumeric = false
                lowered.append(byte)
            case UInt8(ascii: "A")...UInt8(ascii: "Z"):
                labelIsNumeric = false
                lowered.append(byte | 0x20)
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                lowered.append(byte)
            case UInt8(ascii: "-"):
                guard labelLength >= 1 else { return nil }
                labelIsNumeric = false
                lowered.append(byte)
            default:
                return nil
            }
            labelLength += 1
            guard labelLength <= Self.maximumLabelLength else { return nil }
        }
        guard labelLength >= 1, !labelIsNumeric, lowered.last != UInt8(ascii: "-") else { return nil }
        text = String(decoding: lowered, as: UTF8.self)
    }

    /// Takes a domain as a person writes it, in A-labels or U-labels, and stores it in A-labels (RFC 5891). The result
    /// is nil if the text is not a valid domain.
    ///
    /// Letters are put into lower case with Unicode's simple mapping. Labels may contain letters, digits, marks and
    /// hyphens. Two things are *not* done, because they would need large tables: normalisation to NFC and the
    /// contextual rules of RFC 5892. A name in decomposed form gives an A-label that differs from the registered one
    /// and so matches nothing. This errs towards refusal.
    public init?(text: String) {
        if text.utf8.allSatisfy({ $0 < 0x80 }) {
            self.init(ascii: text.utf8)
            return
        }
        var ascii: [UInt8] = []
        var first = true
        for label in text.unicodeScalars.split(separator: ".", omittingEmptySubsequences: false) {
            if !first { ascii.append(UInt8(ascii: ".")) }
            first = false
            guard let encoded = Self.aLabel(label) else { return nil }
            ascii += encoded
            guard ascii.count <= Self.maximumLength else { return nil }
        }
        self.init(ascii: ascii)
    }

    /// Whether this is a subdomain of `parent` at any depth. `parent` itself is not.
    public func isSubdomain(of parent: DomainName) -> Bool {
        let own = text.utf8
        let suffix = parent.text.utf8
        return own.count > suffix.count + 1
            && own.dropLast(suffix.count).last == UInt8(ascii: ".")
            && own.suffix(suffix.count).elementsEqual(suffix)
    }

    /// The domain as people write it, with U-labels (RFC 5891). If a U-label can't be converted back to the same label,
    /// that label is left unchanged.
    public var unicodeText: String {
        text.split(separator: ".", omittingEmptySubsequences: false).map { label -> String in
            guard label.hasPrefix("xn--"), let scalars = Punycode.decode(label.utf8.dropFirst(4)) else {
                return String(label)
            }
            let decoded = String(String.UnicodeScalarView(scalars))
            return DomainName(text: decoded)?.text == String(label) ? decoded : String(label)
        }.joined(separator: ".")
    }

    static let maximumLength = 253
    static let maximumLabelLength = 63

    private static func aLabel(_ label: Substring.UnicodeScalarView) -> [UInt8]? {
        var scalars: [Unicode.Scalar] = []
        for scalar in label {
            guard scalars.count < maximumLabelLength else { return nil }
            let lowered = scalar.properties.lowercaseMapping.unicodeScalars
            // The simple mapping gives one scalar. If the full mapping is longer (U+0130), the scalar has no U-label
            // form.
            guard lowered.count == 1, let only = lowered.first else { return nil }
            scalars.append(only)
        }
        if scalars.allSatisfy(\.isASCII) { return scalars.map { UInt8(truncatingIfNeeded: $0.value) } }
        guard let first = scalars.first, !isMark(first) else { return nil }
        // "--" in third and fourth position is reserved for A-labels (RFC 5891 section 4.2.3.1).
        if scalars.count >= 4, scalars[2] == "-", scalars[3] == "-" { return nil }
        guard scalars.first != "-", scalars.last != "-", scalars.allSatisfy(isAllowed) else { return nil }
        guard let encoded = Punycode.encode(scalars) else { return nil }
        return Array("xn--".utf8) + encoded
    }

    private static func isMark(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark: true
        default: false
        }
    }

    /// The categories of RFC 5892 section 2.1 for letters and digits, without the full-width forms.
    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        if scalar == "-" { return true }
        if (0xFF00...0xFFEF).contains(scalar.value) { return false }
        switch scalar.properties.generalCategory {
        case .lowercaseLetter, .otherLetter, .modifierLetter, .nonspacingMark, .spacingMark, .decimalNumber: return true
        default: return false
        }
    }
}
