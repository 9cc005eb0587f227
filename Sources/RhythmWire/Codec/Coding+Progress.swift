import CRhythmProto
import RhythmCore

extension Progress: WireCoded {
    /// Gives a value whose derived numbers are those that were sent. The weights behind the rate stay with the server,
    /// so it is not to be updated further.
    init(from c: UnsafeMutablePointer<Rhythm__Progress>) throws(FieldError) {
        var total: Double?
        if c.pointee.optional_total_case == RHYTHM__PROGRESS__OPTIONAL_TOTAL_TOTAL {
            total = try finite(c.pointee.total, "total")
        }
        var rate: Double?
        if c.pointee.optional_wt_avg_rate_case == RHYTHM__PROGRESS__OPTIONAL_WT_AVG_RATE_WT_AVG_RATE {
            rate = try finite(c.pointee.wt_avg_rate, "wt_avg_rate")
        }
        self.init(
            restoring: State(
                name: try text(c.pointee.name, "name"), units: try text(c.pointee.units, "units"),
                done: try finite(c.pointee.done, "done"), total: total,
                firstAt: Timestamp(microseconds: c.pointee.first_at),
                updatedAt: Timestamp(microseconds: c.pointee.updated_at),
                firstDone: try finite(c.pointee.first_done, "first_done"),
                weightedSum: rate ?? 0, weight: rate == nil ? 0 : 1,
                reported: try optionalJSON(c.pointee.reported, "reported")))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Progress> {
        let c = arena.make(rhythm__progress__init)
        c.pointee.name = arena.text(name)
        c.pointee.done = done
        if let total {
            c.pointee.optional_total_case = RHYTHM__PROGRESS__OPTIONAL_TOTAL_TOTAL
            c.pointee.total = total
        }
        c.pointee.units = arena.text(units)
        c.pointee.first_at = firstAt.microseconds
        c.pointee.updated_at = updatedAt.microseconds
        c.pointee.first_done = firstDone
        if let fraction = fractionDone, fraction.isFinite {
            c.pointee.optional_fraction_done_case = RHYTHM__PROGRESS__OPTIONAL_FRACTION_DONE_FRACTION_DONE
            c.pointee.fraction_done = fraction
        }
        if let remaining = timeRemaining, remaining.isFinite {
            c.pointee.optional_time_remaining_case = RHYTHM__PROGRESS__OPTIONAL_TIME_REMAINING_TIME_REMAINING_SEC
            c.pointee.time_remaining_sec = remaining
        }
        if let rate = weightedRate, rate.isFinite {
            c.pointee.optional_wt_avg_rate_case = RHYTHM__PROGRESS__OPTIONAL_WT_AVG_RATE_WT_AVG_RATE
            c.pointee.wt_avg_rate = rate
        }
        if let rate = averageRate, rate.isFinite {
            c.pointee.optional_avg_rate_case = RHYTHM__PROGRESS__OPTIONAL_AVG_RATE_AVG_RATE
            c.pointee.avg_rate = rate
        }
        c.pointee.reported = arena.text(reported?.text)
        return c
    }
}
