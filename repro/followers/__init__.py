"""Who answers the leader: screener and guards."""
