import RelayCore

extension Admission {
    /// The part of a batch's emails that one message may use. They were taken from the rate for the whole batch. The
    /// part goes back when it is released, unless the message was queued.
    public struct RateShare: Sendable {
        let reservation: KeyRates.Reservation
    }

    /// The state of a key's rate at one time.
    public struct RateStanding: Hashable, Sendable {
        /// The key's limits.
        public var limits: SendingLimits
        /// The number of emails that the key may send at once. It is negative while the key is in debt.
        public var available: Double

        init(limits: SendingLimits, available: Double) {
            self.limits = limits
            self.available = available
        }

        /// The seconds until one more email is allowed, or 0 when one is allowed now.
        public var secondsUntilNext: Double { max(0, 1 - available) / limits.perSecond }

        /// The seconds until the key's whole burst is available again.
        public var secondsUntilFull: Double { max(0, limits.capacity - available) / limits.perSecond }
    }
}
