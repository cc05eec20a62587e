"""The services that the template makes: installed, checked, started, used and broken."""
