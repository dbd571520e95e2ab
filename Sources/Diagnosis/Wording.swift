import RelayCore

extension Duration {
    /// The time in the largest unit of which there are at least two: `12 days`, `90 seconds`.
    var spelled: String {
        let seconds = abs(wholeMilliseconds / 1000)
        switch seconds {
        case 172_800...: return "\(seconds / 86_400) days"
        case 7_200...: return "\(seconds / 3_600) hours"
        case 120...: return "\(seconds / 60) minutes"
        default: return count(Int(seconds), "second")
        }
    }
}

extension Timestamp {
    /// The date in UTC: `2026-11-24`.
    var date: String { String(rfc3339.prefix(10)) }

    init(seconds: Int64) { self.init(milliseconds: seconds.multipliedReportingOverflow(by: 1000).partialValue) }
}

/// A number with its noun: `1 key`, `2 keys`.
func count(_ number: Int, _ one: String, _ many: String? = nil) -> String {
    "\(number) \(number == 1 ? one : many ?? one + "s")"
}

/// A list in words: `a`, `a and b`, `a, b and c`. At most `limit` items are named.
func list(_ items: [String], limit: Int = 5) -> String {
    if items.count > limit { return items.prefix(limit).joined(separator: ", ") + " and \(items.count - limit) more" }
    guard let last = items.last, items.count > 1 else { return items.first ?? "" }
    return items.dropLast().joined(separator: ", ") + " and " + last
}

/// The text as one word of a command that can be pasted.
func shellWord(_ text: String) -> String {
    let plain = text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"), UInt8(ascii: "@"), UInt8(ascii: "+"), UInt8(ascii: ":"):
            true
        default: false
        }
    }
    return plain && !text.isEmpty
        ? text : "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
}

/// A size such as `9.7 GB` or `512 MB`, in powers of 1000, as disks are sold.
func size(_ bytes: Int64) -> String {
    if bytes >= 10_000_000_000 { return "\(bytes / 1_000_000_000) GB" }
    if bytes >= 1_000_000_000 { return "\(bytes / 1_000_000_000).\(bytes / 100_000_000 % 10) GB" }
    return "\(bytes / 1_000_000) MB"
}
