/// The encoding of RFC 3492, with the parameters of its section 5.
enum Punycode {
    private static let base = 36
    private static let tMin = 1
    private static let tMax = 26
    private static let skew = 38
    private static let damp = 700
    private static let initialBias = 72
    private static let initialN = 128

    /// Encodes one label, without the `xn--` before it. Nil when a delta does not fit (RFC 3492 section 6.4). This
    /// can't happen with labels of at most 63 scalars; the check makes the arithmetic safe for any input.
    static func encode(_ input: [Unicode.Scalar]) -> [UInt8]? {
        var output = input.filter(\.isASCII).map { UInt8(truncatingIfNeeded: $0.value) }
        let basicCount = output.count
        var handled = basicCount
        if basicCount > 0 { output.append(UInt8(ascii: "-")) }
        var n = initialN
        var delta = 0
        var bias = initialBias
        while handled < input.count {
            guard let next = input.lazy.map({ Int($0.value) }).filter({ $0 >= n }).min() else { return nil }
            let (step, overflow) = (next - n).multipliedReportingOverflow(by: handled + 1)
            guard !overflow, delta <= Int(Int32.max) - step else { return nil }
            delta += step
            n = next
            for scalar in input {
                let value = Int(scalar.value)
                if value < n { delta += 1 }
                guard value == n else { continue }
                var q = delta
                var k = base
                while true {
                    let threshold = min(max(k - bias, tMin), tMax)
                    if q < threshold { break }
                    output.append(digit(threshold + (q - threshold) % (base - threshold)))
                    q = (q - threshold) / (base - threshold)
                    k += base
                }
                output.append(digit(q))
                bias = adapt(delta, points: handled + 1, first: handled == basicCount)
                delta = 0
                handled += 1
            }
            delta += 1
            n += 1
        }
        return output
    }

    /// Decodes the part of a label after `xn--` (RFC 3492 section 6.2). Nil when the input is not valid Punycode.
    static func decode(_ input: some BidirectionalCollection<UInt8>) -> [Unicode.Scalar]? {
        var output: [Unicode.Scalar] = []
        var rest = Array(input)[...]
        if let delimiter = rest.lastIndex(of: UInt8(ascii: "-")) {
            guard rest[..<delimiter].allSatisfy({ $0 < 0x80 }) else { return nil }
            output = rest[..<delimiter].map { Unicode.Scalar($0) }
            rest = rest[(delimiter + 1)...]
        }
        var n = initialN
        var i = 0
        var bias = initialBias
        while !rest.isEmpty {
            let old = i
            var weight = 1
            var k = base
            while true {
                guard let octet = rest.popFirst(), let value = value(of: octet) else { return nil }
                let (step, overflow) = value.multipliedReportingOverflow(by: weight)
                guard !overflow, i <= Int(Int32.max) - step else { return nil }
                i += step
                let threshold = min(max(k - bias, tMin), tMax)
                if value < threshold { break }
                weight *= base - threshold
                guard weight <= Int(Int32.max) else { return nil }
                k += base
            }
            let count = output.count + 1
            bias = adapt(i - old, points: count, first: old == 0)
            n += i / count
            i %= count
            guard let code = UInt32(exactly: n), let scalar = Unicode.Scalar(code) else { return nil }
            output.insert(scalar, at: i)
            i += 1
        }
        return output
    }

    private static func value(of digit: UInt8) -> Int? {
        switch digit {
        case UInt8(ascii: "a")...UInt8(ascii: "z"): Int(digit) - 0x61
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): Int(digit) - 0x41
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(digit) - 0x30 + 26
        default: nil
        }
    }

    private static func digit(_ value: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: value < 26 ? value + 0x61 : value - 26 + 0x30)
    }

    private static func adapt(_ delta: Int, points: Int, first: Bool) -> Int {
        var delta = first ? delta / damp : delta / 2
        delta += delta / points
        var k = 0
        while delta > ((base - tMin) * tMax) / 2 {
            delta /= base - tMin
            k += base
        }
        return k + (base - tMin + 1) * delta / (delta + skew)
    }
}
