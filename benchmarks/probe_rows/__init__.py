"""Parts of the UCR benchmark: what turns series into rows, what judges rows, what reports.

`methods.METHODS` lists what makes rows of series, one file each; `probes` and `clusters`
judge the rows; `protocols` says which series are fitted on and which are judged; `tasks` puts
these together into JSON lines; `report` reads the lines.
"""
