/// Prometheus' text exposition format, version 0.0.4.
struct Exposition {
    private(set) var text = ""

    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    mutating func begin(_ name: String, _ kind: MetricDescription.Kind, help: String?) {
        if let help {
            text += "# HELP \(name) \(Exposition.escaped(help, quotes: false))\n"
        }
        text += "# TYPE \(name) \(kind.word)\n"
    }

    mutating func sample(_ name: String, _ labels: Labels, le bound: Double? = nil, _ value: String) {
        text += name
        let written = labels.pairs + (bound.map { [Labels.Pair("le", Exposition.number($0))] } ?? [])
        if !written.isEmpty {
            text += "{"
            for (index, label) in written.enumerated() {
                if index > 0 { text += "," }
                text += "\(label.name)=\"\(Exposition.escaped(label.value, quotes: true))\""
            }
            text += "}"
        }
        text += " \(value)\n"
    }

    /// Whole numbers have no fraction. NaN and the infinities are written by name.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return "\(Int64(value))" }
        return "\(value)"
    }

    /// A backslash or a line feed would end the text that contains it. In a label's value, so would a quote.
    private static func escaped(_ text: String, quotes: Bool) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

/// The labels of one series, sorted by name, so that the same labels always mean the same series.
struct Labels: Hashable, Sendable {
    struct Pair: Hashable, Sendable {
        var name: String
        var value: String

        init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    let pairs: [Pair]

    /// If a label's name occurs more than once, its last value counts.
    init(_ dimensions: [(String, String)]) {
        var values: [String: String] = [:]
        for (name, value) in dimensions { values[MetricName.ofLabel(name)] = value }
        pairs = values.sorted { $0.key < $1.key }.map { Pair($0.key, $0.value) }
    }

    func names(_ name: String) -> Bool { pairs.contains { $0.name == name } }
}

/// Valid names of Prometheus. Invalid characters become `_`, because code that counts can't handle an error.
enum MetricName {
    /// Metric names: `[a-zA-Z_:][a-zA-Z0-9_:]*`
    static func ofMetric(_ text: String) -> String { corrected(text) { $0 == UInt8(ascii: ":") } }

    /// Label names: `[a-zA-Z_][a-zA-Z0-9_]*`, and not with `__` at the beginning, which Prometheus reserves.
    static func ofLabel(_ text: String) -> String {
        let name = corrected(text) { _ in false }
        return name.hasPrefix("__") ? "label\(name)" : name
    }

    private static func corrected(_ text: String, _ isTakenToo: (UInt8) -> Bool) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            let isLetter = (0x61...0x7A).contains(byte | 0x20)
            let isDigit = (0x30...0x39).contains(byte)
            if isDigit, bytes.isEmpty { bytes.append(UInt8(ascii: "_")) }
            bytes.append(isLetter || isDigit || isTakenToo(byte) ? byte : UInt8(ascii: "_"))
        }
        return bytes.isEmpty ? "_" : String(decoding: bytes, as: UTF8.self)
    }
}
