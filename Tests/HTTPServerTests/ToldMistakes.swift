import TestSupport

/// Whether a line begins with the first of these parts and a blank, and then mentions the others, in this order.
///
/// Each line is about one mistake: it has the place and the sentence.
func tells(_ line: String, _ parts: [String]) -> Bool {
    guard let place = parts.first, line.hasPrefix(place + " ") else { return false }
    return String(line.dropFirst(place.count + 1)).mentions(Array(parts.dropFirst()))
}

/// Whether there are as many lines as lists of parts, and each line mentions its parts.
func tells(_ lines: [String], _ parts: [[String]]) -> Bool {
    lines.count == parts.count && zip(lines, parts).allSatisfy { tells($0, $1) }
}
