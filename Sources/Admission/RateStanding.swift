import RelayCore

extension Admission {
    /// What one message of a batch may use of a rate that was taken for all of them. It goes back by itself unless the message is
    /// queued.
    public struct RateShare: Sendable {
        let reservation: KeyRates.Reservation
    }

    /// How a key's rate stands at a moment.
    public struct RateStanding: Hashable, Sendable {
        public var limits: SendingLimits
        /// Emails that the key may send at once; negative while it is in debt.
        public var available: Double

        init(limits: SendingLimits, available: Double) {
            self.limits = limits
            self.available = available
        }

        /// Seconds until one more email is allowed; 0 where one is.
        public var secondsUntilNext: Double { max(0, 1 - available) / limits.perSecond }

        /// Seconds until the key's whole burst is there again.
        public var secondsUntilFull: Double { max(0, limits.capacity - available) / limits.perSecond }
    }
}
