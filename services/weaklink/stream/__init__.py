"""The one runtime of the columnar stages: fetch, commit, checkpoint. Only this package commits."""
