/// One relay's part of a rate in emails per second that several relays share.
///
/// If the rate is a whole number, each part is a whole number too. SES counts per second, and each relay may send one
/// email at once in addition to its rate. If each of three relays had a part of 6.67, each would send 7 in some second,
/// and together they would send 21 where 20 are allowed.
public struct RateShare: Hashable, Sendable {
    /// The relay's place among the sharing relays, from 0. The first ones get one email more if the rate can't be
    /// divided evenly.
    public var place: Int
    /// The number of sharing relays; 0: this relay has no part yet.
    public var count: Int

    /// The whole rate, for a relay that shares it with no other.
    public static let whole = RateShare(place: 0, count: 1)
    /// No part of the rate.
    public static let none = RateShare(place: 0, count: 0)

    public init(place: Int, count: Int) {
        self.place = place
        self.count = count
    }

    /// The relay's part of `rate`, in emails per second. The parts of all relays together are the rate. If `count` is
    /// too high or `place` is too far back, the result is not more than the relay's part.
    public func part(of rate: Double) -> Double {
        guard count > 0, rate.isFinite, rate > 0 else { return count > 0 ? max(rate, 0) / Double(count) : 0 }
        let whole = rate.rounded(.down)
        let each = (whole / Double(count)).rounded(.down)
        let rest = whole - each * Double(count)
        return each + (Double(place) < rest ? 1 : 0) + (place == 0 ? rate - whole : 0)
    }
}
