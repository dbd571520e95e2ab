import InternetMessage

/// Octets in base64 (RFC 4648 section 4). The base64 is checked but not decoded.
///
/// The composer only splits the digits into lines, so it never decodes the octets.
public struct Base64Text: Sendable {
    /// Digits and padding, with the white space that was given between them.
    public let bytes: ArraySlice<UInt8>
    /// The number of digits and padding characters, without white space.
    let digitCount: Int
    /// The number of `=` at the end, 0 to 2.
    private let paddingCount: Int

    /// Takes digits of the standard alphabet with their padding. There may be spaces, tabs, CR and LF between them.
    ///
    /// Returns nil for anything else: for other characters (including `-` and `_` of the URL alphabet), for missing or
    /// excess padding, and for text after the padding. The empty text stands for no octets.
    public init?(_ bytes: ArraySlice<UInt8>) {
        var end = bytes.endIndex
        var padding = 0
        scan: while end > bytes.startIndex {
            switch bytes[end - 1] {
            case .equalsSign:
                padding += 1
                guard padding <= 2 else { return nil }
            case .space, .tab, .cr, .lf: break
            default: break scan
            }
            end -= 1
        }
        guard let blanks = Self.blanks(bytes[..<end]) else { return nil }
        let digits = end - bytes.startIndex - blanks
        guard (digits + padding) % 4 == 0 else { return nil }
        self.bytes = bytes
        digitCount = digits + padding
        paddingCount = padding
    }

    /// The number of octets that the digits stand for.
    public var decodedSize: Int { digitCount / 4 * 3 - paddingCount }

    var holdsWhiteSpace: Bool { digitCount != bytes.count }

    /// The number of white-space octets in a text of digits. Nil when the text contains anything else. Each octet of
    /// each attachment is looked at here.
    private static func blanks(_ bytes: ArraySlice<UInt8>) -> Int? {
        classes.withUnsafeBufferPointer { classes in
            bytes.withUnsafeBufferPointer { bytes in
                var blanks = 0
                var found: UInt8 = 0
                for byte in bytes {
                    let kind = classes[Int(byte)]
                    found |= kind
                    blanks &+= Int(kind & 1)
                }
                return found & 2 == 0 ? blanks : nil
            }
        }
    }

    /// For each octet: 0 for a digit, 1 for white space, 2 for anything else.
    private static let classes: [UInt8] = {
        var classes = [UInt8](repeating: 2, count: 256)
        for digit in Base64Digits.all { classes[Int(digit)] = 0 }
        for blank in [UInt8.space, .tab, .cr, .lf] { classes[Int(blank)] = 1 }
        return classes
    }()
}
