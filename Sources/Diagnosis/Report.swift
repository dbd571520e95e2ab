/// All findings, as they are reported.
public struct Report: Hashable, Sendable {
    /// The results of the checks, in the order in which they are shown.
    public let findings: [Finding]

    public init(_ findings: [Finding]) { self.findings = findings }

    /// Whether there are no problems. Warnings do not count.
    public var isOK: Bool { !findings.contains { $0.outcome == .problem } }

    /// A summary such as `2 problems, 1 warning, 3 skipped`.
    public var summary: String {
        let number = { (outcome: Finding.Outcome) in findings.count { $0.outcome == outcome } }
        let parts = [
            number(.problem) > 0 ? count(number(.problem), "problem") : nil,
            number(.warning) > 0 ? count(number(.warning), "warning") : nil,
            number(.skipped) > 0 ? "\(number(.skipped)) skipped" : nil,
        ].compactMap(\.self)
        return parts.isEmpty ? "all is well" : parts.joined(separator: ", ")
    }

    /// The report in columns: outcome, subject, sentence, and the remedy below the sentence.
    ///
    /// - Parameter width: the characters per line of the terminal; nil if lines may have any length, as in a pipe.
    public func text(width: Int?) -> String {
        let first = Finding.Outcome.allCases.map(\.rawValue.count).max() ?? 0
        let second = findings.map(\.subject.rawValue.count).max() ?? 0
        let indent = first + second + 4
        var lines: [String] = []
        var before: Finding?
        for finding in findings {
            let head = pad(finding.outcome.rawValue, first) + "  " + pad(finding.subject.rawValue, second) + "  "
            // A reason for which several checks are skipped is printed only once.
            let isSame =
                finding.outcome == .skipped && before?.outcome == .skipped && before?.found == finding.found
                && before?.remedy == finding.remedy
            lines += wrap(isSame ? "for the same reason" : finding.found, head, indent, width)
            if let remedy = finding.remedy, !isSame {
                lines += wrap("-> " + remedy, String(repeating: " ", count: indent), indent + 3, width)
            }
            before = finding
        }
        return (lines + ["", summary]).map { $0 + "\n" }.joined()
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// Wraps `text` after `head`, with all lines but the first indented. A word that is longer than a line gets its own
    /// line.
    private func wrap(_ text: String, _ head: String, _ indent: Int, _ width: Int?) -> [String] {
        // On a very narrow terminal the columns would need the whole width.
        guard let width, width >= indent + 20 else { return [head + text] }
        var lines: [String] = []
        var line = head
        var isEmpty = true
        for word in text.split(separator: " ") {
            if !isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = String(repeating: " ", count: indent)
                isEmpty = true
            }
            line += (isEmpty ? "" : " ") + word
            isEmpty = false
        }
        return lines + [line]
    }
}
