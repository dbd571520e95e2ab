/// A number and the unit after it: `30s`, `5 min`, `28 MiB`.
struct Quantity {
    let number: Int64
    /// The unit in lower case; empty if there is none.
    let unit: String

    /// Reads 1 to 15 digits, then optional spaces, then optional letters. Nil for any other text. With 15 digits, the
    /// number itself fits into 64 bits; the callers check for overflow when they multiply it.
    init?(_ text: String) {
        let digits = text.utf8.prefix(while: isDigit)
        let unit = text.utf8.dropFirst(digits.count).drop { $0 == UInt8(ascii: " ") }
        guard (1...15).contains(digits.count), unit.allSatisfy(isLetter), let number = Int64(String(digits) ?? "")
        else {
            return nil
        }
        self.number = number
        self.unit = String(decoding: unit, as: UTF8.self).lowercased()
    }

    func times(_ factor: Int64) -> Int64? {
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? nil : product
    }
}

extension Duration {
    private static let unitsInMilliseconds: [(names: [String], factor: Int64)] = [
        (["d", "day", "days"], 86_400_000),
        (["h", "hour", "hours"], 3_600_000),
        (["m", "min", "minute", "minutes"], 60_000),
        (["s", "sec", "second", "seconds"], 1000),
        (["ms"], 1),
    ]

    /// Reads `1500ms`, `30s`, `5m` or `5 min`, `1h`, `7d`: whole numbers with their unit, which is required. Used for
    /// the settings and the command line.
    public init?(written text: String) {
        guard let quantity = Quantity(text),
            let unit = Duration.unitsInMilliseconds.first(where: { $0.names.contains(quantity.unit) }),
            let milliseconds = quantity.times(unit.factor)
        else { return nil }
        self = .milliseconds(milliseconds)
    }

    /// The duration in the largest unit that gives a whole number. Parts of a millisecond are cut off.
    public var written: String {
        let milliseconds = components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
        guard milliseconds != 0 else { return "0s" }
        for unit in Duration.unitsInMilliseconds where milliseconds % unit.factor == 0 {
            return "\(milliseconds / unit.factor)\(unit.names[0])"
        }
        return "\(milliseconds)ms"
    }
}

/// A number of octets, as people write it.
public enum ByteSize {
    private static let units: [(name: String, factor: Int64)] = [
        ("GiB", 1 << 30), ("GB", 1_000_000_000), ("MiB", 1 << 20), ("MB", 1_000_000), ("KiB", 1 << 10), ("kB", 1000),
    ]

    /// Reads `28 MiB`, `10 MB`, `512KiB`, `65536`. Nil for anything else, including `28M`, which is ambiguous.
    public static func parse(_ text: String) -> Int? {
        guard let quantity = Quantity(text) else { return nil }
        if quantity.unit.isEmpty || quantity.unit == "b" { return Int(quantity.number) }
        guard let unit = units.first(where: { $0.name.lowercased() == quantity.unit }) else { return nil }
        return quantity.times(unit.factor).map(Int.init)
    }

    /// The size in the largest unit that gives a whole number.
    public static func write(_ size: Int) -> String {
        for unit in units where size != 0 && Int64(size) % unit.factor == 0 {
            return "\(Int64(size) / unit.factor) \(unit.name)"
        }
        return "\(size)"
    }
}
