// How texts for people are worded, the same in commands and on the operator's page.

/// `text` with U+FFFD in place of characters that would control a terminal or a page, because names, subjects and
/// reasons may come from anyone.
package func printable(_ text: String) -> String {
    // Nearly all text is printable ASCII, which needs no table look-up.
    if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return text }
    guard text.unicodeScalars.contains(where: isUnprintable) else { return text }
    var scalars = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { scalars.append(isUnprintable(scalar) ? "\u{FFFD}" : scalar) }
    return String(scalars)
}

private func isUnprintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator, .surrogate: true
    case .format: (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
    default: false
    }
}

/// A duration in its largest unit only: `3 d`, `5 h`, `12 min`, `40 s`.
package func approximate(_ duration: Duration) -> String {
    let seconds = max(0, duration.components.seconds)
    switch seconds {
    case 172_800...: return "\(seconds / 86_400) d"
    case 7_200...: return "\(seconds / 3_600) h"
    case 120...: return "\(seconds / 60) min"
    default: return "\(seconds) s"
    }
}

/// A number with its noun: `5 msgs`, `1 msg`.
package func counted(_ number: Int, _ one: String, _ many: String) -> String { "\(number) \(number == 1 ? one : many)" }

/// A time to the second, for tables: `2026-11-24 14:33:17`; `-` if it is nil.
package func brief(_ time: Timestamp?) -> String {
    guard let time else { return "-" }
    return String(time.rfc3339.prefix(19)).split(separator: "T").joined(separator: " ")
}

/// A number with separators: `12,345`.
package func grouped(_ number: Int) -> String {
    let digits = String(number)
    return digits.enumerated().map { index, digit in
        let isBoundary = index > 0 && (digits.count - index).isMultiple(of: 3)
        return (isBoundary ? "," : "") + String(digit)
    }.joined()
}

/// A number as people write it, without a decimal point if it is whole: `10`, `0.5`.
package func decimal(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String(value)
}

/// A percentage: `2.1 %`, `0.05 %`; `-` if it is not known.
package func percent(_ rate: Double?) -> String {
    guard let rate else { return "-" }
    let hundredths = (rate * 10_000).rounded() / 100
    return "\(decimal(hundredths)) %"
}
