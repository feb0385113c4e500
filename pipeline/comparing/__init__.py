"""Two finished outputs side by side: what differs in what they were made of, and what that did."""
