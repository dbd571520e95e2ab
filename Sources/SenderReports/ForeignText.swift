/// Makes text from outside safe for a report.
enum ForeignText {
    /// Returns the text on one line. Control characters, line ends and characters that change the direction of text
    /// become blanks, and several blanks become one.
    ///
    /// - Parameter longest: the largest number of Unicode scalars to keep.
    static func line(_ text: String, longest: Int) -> String {
        var scalars = String.UnicodeScalarView()
        var count = 0
        var owesBlank = false
        for scalar in text.unicodeScalars {
            if isBlank(scalar) {
                owesBlank = count > 0
                continue
            }
            guard count + (owesBlank ? 2 : 1) <= longest else {
                scalars.append("…")
                break
            }
            if owesBlank {
                scalars.append(" ")
                count += 1
            }
            owesBlank = false
            scalars.append(scalar)
            count += 1
        }
        return String(scalars)
    }

    private static func isBlank(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00...0x20, 0x7F...0xA0, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: true
        default: false
        }
    }
}
